"""Modal's public names, by module: those of its client 1.6.4 that programs take, as facts."""

PUBLIC: dict[str, tuple[str, ...]] = {
    "modal": (
        "App", "Client", "CloudBucketMount", "Cls", "Environment", "Function", "FunctionCall", "Image", "NetworkFileSystem", "Proxy", "Retries",
        "SchedulerPlacement", "Secret", "Volume", "Workspace", "__version__", "asgi_app",
        "batched", "concurrent", "current_function_call_id", "current_input_id", "enter", "exception", "exit", "fastapi_endpoint", "is_local",
        "method", "parameter", "web_endpoint", "web_server", "wsgi_app",
    ),
    "modal.app": ("App", "LocalEntrypoint"),
    "modal.cls": ("Cls", "Obj", "parameter"),
    "modal.client": ("Client",),
    "modal.environments": ("Environment",),
    "modal.exception": (
        "AlreadyExistsError", "AuthError", "ClientClosed", "ConflictError", "ConnectionError", "DataLossError", "DeprecationError",
        "DeserializationError", "Error", "ExecutionError", "FunctionTimeoutError", "ImageBuildError",
        "InputCancellation", "InteractiveTimeoutError", "InternalError", "InternalFailure", "InvalidError", "MountUploadTimeoutError",
        "NotFoundError", "OutputExpiredError", "PermissionDeniedError", "RemoteError", "RequestSizeError", "ResourceExhaustedError",
        "SerializationError", "ServerWarning", "ServiceError", "TimeoutError", "UnimplementedError", "VersionError", "VolumeUploadTimeoutError",
    ),
    "modal.functions": ("Function", "FunctionCall"),
    "modal.gpu": ("A100", "Any", "H100", "T4"),
    "modal.image": ("Image",),
    "modal.mount": ("Mount",),
    "modal.partial_function": ("asgi_app", "enter", "method"),
    "modal.retries": ("Retries",),
    "modal.runner": ("deploy_app", "run_app"),
    "modal.cloud_bucket_mount": ("CloudBucketMount",),
    "modal.network_file_system": ("NetworkFileSystem",),
    "modal.proxy": ("Proxy",),
    "modal.secret": ("Secret", "SecretManager"),
    "modal.types": ("FileEntry", "FileEntryType", "SecretInfo", "VolumeInfo"),
    "modal.volume": ("FileEntry", "FileEntryType", "Volume", "VolumeManager"),
}  # fmt: skip
