"""What the SDK answers with, as plain data. The names and fields are Modal's, so that programs read them the same."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import Literal

LogSource = Literal["stdout", "stderr", "system"]


class InputStatus(IntEnum):
    """How far an input is."""

    PENDING = 0  # waits or runs
    SUCCESS = 1
    FAILURE = 2
    TERMINATED = 3  # cancelled
    TIMEOUT = 4
    INIT_FAILURE = 5


@dataclass
class InputInfo:
    """One input in the graph of calls, and those that its code made."""

    input_id: str
    function_call_id: str
    task_id: str  # of the instance that ran it; "" before one does
    status: InputStatus
    function_name: str
    module_name: str
    children: list["InputInfo"] = field(default_factory=list["InputInfo"])


@dataclass(frozen=True)
class FunctionCurrentStats:
    """What a function has to do now."""

    backlog: int  # inputs that wait
    num_total_runners: int  # instances
    num_running_inputs: int
    input_headroom: int  # inputs that its instances could take at once


@dataclass(frozen=True, slots=True)
class FunctionAutoscalerSettings:
    """How a function scales now."""

    min_containers: int | None
    max_containers: int | None  # None: as many as the machine holds
    scaledown_window: int | None  # seconds
    buffer_containers: int | None


@dataclass(frozen=True)
class BatchingInfo:
    max_batch_size: int
    wait_ms: int


@dataclass(frozen=True)
class ConcurrencyInfo:
    max_inputs: int | None
    target_inputs: int | None


@dataclass(frozen=True)
class ImageInfo:
    image_name: str | None
    image_id: str | None


@dataclass(frozen=True)
class WebInfo:
    web_url: str
    method: str | None  # of a fastapi_endpoint
    unauthenticated: bool


@dataclass(frozen=True)
class VolumeMountInfo:
    name: str | None
    volume_id: str | None
    read_only: bool
    sub_path: str | None = None


@dataclass(frozen=True)
class FunctionInfo:
    """What a function is run as. Amounts that the program left open are None."""

    cpu: float | tuple[float, float] | None
    memory_mib: int | tuple[int, int] | None
    gpus: list[tuple[str, int]]  # alternatives, best first
    ephemeral_disk_mib: int | None
    image_info: ImageInfo
    startup_timeout: int | None
    timeout: int
    max_retries: int | None
    batching_info: BatchingInfo | None
    concurrency_info: ConcurrencyInfo | None
    single_use_containers: bool
    volumes: dict[str, VolumeMountInfo]
    secrets: list[str]
    web_info: WebInfo | None
    method_names: list[str] | None
    method_details: dict[str, WebInfo] | None


class AppState(StrEnum):
    EPHEMERAL = "ephemeral"
    DETACHED = "detached"
    DEPLOYED = "deployed"
    STOPPED = "stopped"


@dataclass
class AppLifecycle:
    state: AppState
    version: int | None
    created_at: datetime
    created_by: str
    deployed_at: datetime | None
    deployed_by: str | None
    stopped_at: datetime | None
    stopped_by: str | None


@dataclass(frozen=True)
class AppInfo:
    app_id: str
    description: str
    lifecycle: AppLifecycle
    functions: dict[str, str]  # name -> id


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A piece of what an instance wrote."""

    message: str
    timestamp: datetime
    source: LogSource
    object_id: str  # whose logs were asked for
    context_ids: list[str]  # call and instance, as far as they are known

    def __str__(self) -> str:
        return self.message


@dataclass
class DictInfo:
    """What is known of a Dict as such."""

    name: str | None  # None: ephemeral
    created_at: datetime
    created_by: str | None = None  # a server has one user


@dataclass
class QueueInfo:
    """What is known of a Queue as such."""

    name: str | None  # None: ephemeral
    created_at: datetime
    created_by: str | None = None  # as above


class FileType(Enum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class FileWatchEventType(Enum):
    Unknown = "Unknown"
    Access = "Access"
    Create = "Create"
    Modify = "Modify"
    Remove = "Remove"


@dataclass(frozen=True)
class FileInfo:
    """An entry of a folder; of a link, the link itself."""

    name: str
    path: str
    type: FileType
    size: int
    mode: int
    permissions: str
    owner: str
    group: str
    modified_time: float
    symlink_target: str | None

    def is_file(self) -> bool:
        return self.type is FileType.FILE

    def is_dir(self) -> bool:
        return self.type is FileType.DIRECTORY

    def is_symlink(self) -> bool:
        return self.type is FileType.SYMLINK


@dataclass
class FileWatchEvent:
    """What changed: a rename within sight has both paths, the old one first."""

    paths: list[str]
    type: FileWatchEventType
