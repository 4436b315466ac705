"""Modal's public names, by module: those of its client 1.6.4 that programs take, as facts."""

PUBLIC: dict[str, tuple[str, ...]] = {
    "modal": (
        "App", "Client", "CloudBucketMount", "Cls", "Cluster", "Cron", "Dict", "Environment", "Error",
        "FilePatternMatcher", "Function", "FunctionCall", "Image", "NetworkFileSystem", "Period", "Probe", "Proxy",
        "Queue", "Retries", "Sandbox", "SandboxSnapshot", "SchedulerPlacement", "Secret", "Server", "Tunnel",
        "Volume", "Workspace", "__version__", "asgi_app", "batched", "billing", "clustered", "concurrent",
        "current_function_call_id", "current_input_id", "enable_output", "enter", "exception", "exit",
        "fastapi_endpoint", "forward", "interact", "is_local", "method", "parameter", "sessioned", "web_endpoint",
        "web_server", "wsgi_app",
    ),
    "modal.app": (
        "App", "LocalEntrypoint",
    ),
    "modal.billing": (
        "workspace_billing_report",
    ),
    "modal.call_graph": (
        "InputInfo", "InputStatus",
    ),
    "modal.client": (
        "Client",
    ),
    "modal.cloud_bucket_mount": (
        "CloudBucketMount",
    ),
    "modal.cls": (
        "Cls", "Obj", "parameter",
    ),
    "modal.cluster": (
        "Cluster",
    ),
    "modal.config": (
        "Config", "config",
    ),
    "modal.container_process": (
        "ContainerProcess",
    ),
    "modal.dict": (
        "Dict", "DictManager",
    ),
    "modal.environments": (
        "Environment",
    ),
    "modal.exception": (
        "AlreadyExistsError", "AsyncUsageWarning", "AuthError", "ClientClosed", "ConflictError", "ConnectionError",
        "DataLossError", "DeprecationError", "DeserializationError", "Error", "ExecTimeoutError", "ExecutionError",
        "FunctionTimeoutError", "ImageBuildError", "InputCancellation", "InteractiveTimeoutError",
        "InternalAPIWarning", "InternalError", "InternalFailure", "InvalidError", "LogsFetchError",
        "ModuleNotMountable", "MountUploadTimeoutError", "NotFoundError", "OutputExpiredError",
        "PermissionDeniedError", "RemoteError", "RequestSizeError", "ResourceExhaustedError",
        "SandboxFilesystemDirectoryNotEmptyError", "SandboxFilesystemError", "SandboxFilesystemFileTooLargeError",
        "SandboxFilesystemIsADirectoryError", "SandboxFilesystemNotADirectoryError",
        "SandboxFilesystemNotFoundError", "SandboxFilesystemPathAlreadyExistsError",
        "SandboxFilesystemPermissionError", "SandboxTerminatedError", "SandboxTimeoutError", "SerializationError",
        "ServerWarning", "ServiceError", "SnapshotCreationError", "TimeoutError", "UnimplementedError",
        "UserCodeException", "VersionError", "VolumeUploadTimeoutError", "WorkspaceManagementError",
        "simulate_preemption",
    ),
    "modal.experimental": (
        "clustered", "get_cluster_info", "http_server", "stop_fetching_inputs",
    ),
    "modal.file_pattern_matcher": (
        "FilePatternMatcher", "NON_PYTHON_FILES",
    ),
    "modal.functions": (
        "Function", "FunctionCall", "gather",
    ),
    "modal.gpu": (
        "A100", "Any", "H100", "T4",
    ),
    "modal.image": (
        "Image",
    ),
    "modal.io_streams": (
        "StreamReader", "StreamWriter",
    ),
    "modal.mount": (
        "Mount",
    ),
    "modal.network_file_system": (
        "NetworkFileSystem",
    ),
    "modal.output": (
        "enable_output",
    ),
    "modal.partial_function": (
        "asgi_app", "enter", "method",
    ),
    "modal.proxy": (
        "Proxy",
    ),
    "modal.queue": (
        "Queue", "QueueManager",
    ),
    "modal.retries": (
        "Retries",
    ),
    "modal.runner": (
        "deploy_app", "run_app",
    ),
    "modal.sandbox": (
        "Probe", "Sandbox",
    ),
    "modal.schedule": (
        "Cron", "Period", "Schedule",
    ),
    "modal.secret": (
        "Secret", "SecretManager",
    ),
    "modal.server": (
        "Server",
    ),
    "modal.stream_type": (
        "StreamType",
    ),
    "modal.types": (
        "AppInfo", "AppLifecycle", "AppState", "DictInfo", "FileEntry", "FileEntryType", "FileInfo", "FileType",
        "FileWatchEvent", "FileWatchEventType", "FunctionAutoscalerSettings", "FunctionCurrentStats",
        "FunctionInfo", "InputInfo", "InputStatus", "LogEntry", "QueueInfo", "SecretInfo", "VolumeInfo",
        "VolumeMountInfo",
    ),
    "modal.volume": (
        "FileEntry", "FileEntryType", "Volume", "VolumeManager",
    ),
    "modal.workspace": (
        "Workspace",
    ),
}  # fmt: skip
