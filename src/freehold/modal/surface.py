"""Which of Freehold's objects stands behind each of Modal's names: one table, read by the import hook. `tests/compat` walks it."""

from freehold.core import errors
from freehold.modal.absent import NOT_HERE

FOLLOWED_VERSION = "1.6.4"  # of Modal's client: the surface that this one follows

# modules that are one of Freehold's own
WHOLE: dict[str, str] = {}

# what `modal` has beside the names of the package `freehold` itself: those that Modal has given up, and those that are not here yet
OLD = {
    "SandboxSnapshot": "freehold.modal.absent:SandboxSnapshot",
    "sessioned": "freehold.modal.absent:sessioned",
    "Mount": "freehold.modal.old:Mount",
    "SharedVolume": "freehold.modal.old:SharedVolume",
    "Stub": "freehold.modal.old:Stub",
    "build": "freehold.modal.old:build",
    "web_endpoint": "freehold.modal.old:web_endpoint",
}

# modules of `modal`, and what programs take from them
MODULES: dict[str, dict[str, str]] = {
    "modal.billing": {"workspace_billing_report": "freehold.modal.absent:workspace_billing_report"},
    "modal.app": {"App": "freehold.sdk.app:App", "LocalEntrypoint": "freehold.sdk.entrypoint:Entrypoint"},
    "modal.cls": {
        "Cls": "freehold.sdk.cls:Cls",
        "Obj": "freehold.sdk.cls:Obj",
        "parameter": "freehold.sdk.cls:parameter",
    },
    "modal.client": {"Client": "freehold.sdk.client:Client"},
    "modal.dict": {"Dict": "freehold.sdk.dict:Dict", "DictManager": "freehold.sdk.named:NamedObjects"},
    "modal.environments": {"Environment": "freehold.sdk.workspace:Environment"},
    "modal.config": {name: f"freehold.modal.config:{name}" for name in ("Config", "_profile", "config")},
    "modal.cluster": {"Cluster": "freehold.sdk.cluster:Cluster"},
    "modal.experimental": {
        **{n: f"freehold.modal.absent:{n}" for n in NOT_HERE},
        **{
            name: f"freehold.sdk.experimental:{name}"
            for name in (
                "AppInfo", "ClusterInfo", "clustered", "get_app_objects", "get_cluster_info", "get_fabric_peers", "http_server", "image_delete",
                "list_deployed_apps", "stop_app", "stop_fetching_inputs",
            )
        },
    },
    "modal.exception": {
        **{n: f"freehold.core.errors:{n}" for n, v in vars(errors).items() if isinstance(v, type) and v.__module__ == errors.__name__},
        "InternalFailure": "freehold.core.errors:InternalError",
        "simulate_preemption": "freehold.modal.preemption:simulate_preemption",
        **{
            n: f"freehold.modal.absent:{n}"
            for n in (
                "AsyncUsageWarning", "InternalAPIWarning", "LogsFetchError", "ModuleNotMountable", "UserCodeException",
                "WorkspaceManagementError",
            )
        },
    },
    "modal.call_graph": {"InputInfo": "freehold.sdk.types:InputInfo", "InputStatus": "freehold.sdk.types:InputStatus"},
    "modal.file_io": {"FileIO": "freehold.sdk.file_io:FileIO"},  # of earlier clients
    "modal.file_pattern_matcher": {
        name: f"freehold.sdk.file_pattern_matcher:{name}" for name in ("FilePatternMatcher", "NON_PYTHON_FILES")
    },
    "modal.functions": {
        "gather": "freehold.modal.old:gather",
        "Function": "freehold.sdk.function:Function",
        "FunctionCall": "freehold.sdk.call:FunctionCall",
    },
    "modal.gpu": {
        **{n: f"freehold.modal.old:{n}" for n in ("A10G", "A100", "B200", "H100", "H200", "L4", "L40S", "T4")},
        "Any": "freehold.modal.old:Any_",
    },
    "modal.image": {"Image": "freehold.sdk.image:Image"},
    "modal.mount": {"Mount": "freehold.modal.old:Mount"},
    "modal.output": {"enable_output": "freehold.sdk.output:enable_output"},
    "modal.partial_function": {
        name: f"freehold:{name}"
        for name in (
            "asgi_app", "batched", "clustered", "concurrent", "enter", "exit", "fastapi_endpoint", "method", "web_server", "wsgi_app",
        )
    },
    "modal.queue": {"Queue": "freehold.sdk.queue:Queue", "QueueManager": "freehold.sdk.named:NamedObjects"},
    "modal.retries": {"Retries": "freehold.sdk.retries:Retries"},
    "modal.runner": {"deploy_app": "freehold.modal.old:deploy_app", "run_app": "freehold.modal.old:run_app"},
    "modal.scheduler_placement": {"SchedulerPlacement": "freehold.sdk.scheduler_placement:SchedulerPlacement"},
    "modal.schedule": {name: f"freehold.sdk.schedule:{name}" for name in ("Cron", "Period", "Schedule")},
    "modal.cloud_bucket_mount": {"CloudBucketMount": "freehold.sdk.bucket:CloudBucketMount"},
    "modal.network_file_system": {"NetworkFileSystem": "freehold.sdk.network_file_system:NetworkFileSystem"},
    "modal.proxy": {"Proxy": "freehold.sdk.proxy:Proxy"},
    "modal.secret": {
        "Secret": "freehold.sdk.secret:Secret",
        "SecretManager": "freehold.sdk.secret:SecretManager",
    },
    "modal.types": {
        **{n: f"freehold.sdk.entries:{n}" for n in ("FileEntry", "FileEntryType", "SecretInfo", "VolumeInfo")},
        **{
            n: f"freehold.sdk.types:{n}"
            for n in (
                "AppInfo", "AppLifecycle", "AppState", "DictInfo", "FileInfo", "FileType", "FileWatchEvent",
                "FileWatchEventType", "FunctionAutoscalerSettings", "FunctionCurrentStats", "FunctionInfo",
                "InputInfo", "InputStatus", "LogEntry", "QueueInfo", "VolumeMountInfo",
            )
        },
    },
    "modal.volume": {
        "FileEntry": "freehold.sdk.entries:FileEntry",
        "FileEntryType": "freehold.sdk.entries:FileEntryType",
        "Volume": "freehold.sdk.volume:Volume",
        "VolumeManager": "freehold.sdk.volume:VolumeManager",
    },
    "modal.container_process": {"ContainerProcess": "freehold.sdk.container_process:ContainerProcess"},
    "modal.io_streams": {
        "StreamReader": "freehold.sdk.io_streams:StreamReader",
        "StreamWriter": "freehold.sdk.io_streams:StreamWriter",
    },
    "modal.sandbox": {
        "Probe": "freehold.sdk.sandbox:Probe",
        "Sandbox": "freehold.sdk.sandbox:Sandbox",
    },
    "modal.stream_type": {"StreamType": "freehold.sdk.stream_type:StreamType"},
    "modal.snapshot": {"SandboxSnapshot": "freehold.modal.absent:SandboxSnapshot"},
    "modal.shared_volume": {"SharedVolume": "freehold.modal.old:SharedVolume"},
    "modal.server": {"Server": "freehold.sdk.server:Server"},
    "modal.workspace": {"Workspace": "freehold.sdk.workspace:Workspace"},
}  # fmt: skip
