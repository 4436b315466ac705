"""The store's rows, as named tuples in the order of their tables' columns, so that they bind without a copy.

Times are seconds since the epoch. Fields that a table keeps as JSON text are dicts and tuples here.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from freehold.core.states import AppState, CallState, InstanceState, SandboxState


class CallRow(NamedTuple):
    """One call. `inputs` counts those known so far while `more` is true."""

    id: str
    workspace: str
    app_id: str
    app: str
    function_id: str
    function: str  # with its method: "Ocr.predict"
    kind: str  # remote, spawn, map, generator, web, http
    state: CallState
    created: float
    started: float | None = None
    ended: float | None = None
    inputs: int = 1
    succeeded: int = 0
    failed: int = 0
    parent: str | None = None  # the call in whose code it was made; None, never ""
    error: str | None = None
    version: int = 0
    key: str | None = None  # idempotency key, unique in workspace and function; None, never ""
    parameters: bytes = b""
    options: bytes = b""  # digest of a JSON call's arguments; b"" for others
    more: bool = False  # its client has not sent all inputs yet
    variant: str | None = None  # id of the overrides that it runs with; None, never ""
    parent_index: int | None = None  # the input of its parent in whose code it was made


class InputRow(NamedTuple):
    """One input of a call. `args` and `result` are msgpack of `frames.Payload`; None leaves what is stored."""

    call_id: str
    idx: int
    state: CallState
    attempt: int
    method: str
    created: float
    started: float | None = None
    ended: float | None = None
    instance: str | None = None
    args_bytes: int = 0
    result_bytes: int | None = None
    error: str | None = None  # type and message
    traceback: str | None = None
    args: bytes | None = None
    result: bytes | None = None


class AttemptRow(NamedTuple):
    """An attempt that did not become its input's outcome."""

    call_id: str
    idx: int
    attempt: int
    state: CallState
    instance: str | None = None
    started: float | None = None
    ended: float | None = None
    error: str | None = None


class InstanceRow(NamedTuple):
    id: str
    workspace: str
    app_id: str
    app: str
    function_id: str
    function: str
    version: int
    state: InstanceState
    created: float
    ready: float | None = None
    ended: float | None = None
    reason: str | None = None
    pid: int | None = None
    slots: int = 1
    devices: tuple[str, ...] = ()
    phases: dict[str, float] = {}  # noqa: RUF012 (read only)
    cpu: float = 0.125
    memory_mib: int = 128
    simulated: bool = False
    pool: str = ""


class SandboxRow(NamedTuple):
    id: str
    workspace: str
    app_id: str
    app: str
    name: str | None
    state: SandboxState
    created: float
    ended: float | None = None
    returncode: int | None = None
    reason: str | None = None
    image: str = ""
    timeout_s: float = 300.0
    tags: dict[str, str] = {}  # noqa: RUF012 (read only)


class AppRow(NamedTuple):
    id: str
    workspace: str
    name: str
    state: AppState
    version: int
    created: float
    stopped: float | None = None
    description: str | None = None
    client: str = ""
    tags: dict[str, str] = {}  # noqa: RUF012 (read only)


class AppVersionRow(NamedTuple):
    app_id: str
    version: int
    created: float
    tag: str | None = None
    client: str = ""
    functions: dict[str, str] = {}  # noqa: RUF012 (read only): function name -> function id
    spec: bytes = b""  # JSON of AppSpec


class FunctionRow(NamedTuple):
    id: str
    workspace: str
    app_id: str
    app: str
    name: str
    kind: str
    digest: str
    image: str
    version: int  # of the app, when it was made
    created: float
    ended: float | None = None
    spec: bytes = b""  # JSON of FunctionSpec


class VariantRow(NamedTuple):
    workspace: str
    id: str
    created: float
    spec: bytes  # JSON of Overrides


class ScalingRow(NamedTuple):
    function_id: str
    parameters: bytes
    variant: str
    created: float
    spec: str  # JSON of Scaling


class ScheduleRow(NamedTuple):
    """When a function of a live app is called next by itself; `base` is when its version was deployed."""

    function_id: str
    app_id: str
    base: float
    due: float


class EndpointRow(NamedTuple):
    """A label keeps its port for good, also while its app is stopped."""

    workspace: str
    label: str
    app_id: str
    app: str
    function: str
    method: str
    port: int
    created: float


class EventRow(NamedTuple):
    id: str
    workspace: str
    at: float
    kind: str
    subject: str
    detail: dict[str, Any] = {}  # noqa: RUF012 (read only)


class SecretRow(NamedTuple):
    """Values are sealed; `digest` is a keyed digest of them. Secrets given in a program have no name."""

    id: str
    workspace: str
    name: str | None
    digest: str
    keys: tuple[str, ...]
    created: float
    updated: float
    sealed: bytes

    def __repr__(self) -> str:
        return f"SecretRow(id={self.id!r}, name={self.name!r}, keys={self.keys!r})"


class VolumeRow(NamedTuple):
    id: str
    workspace: str
    name: str
    created: float
    ephemeral: bool = False


class DictRow(NamedTuple):
    """`expires` is None for good, 0 once it is deleted, and else when it goes unless its client tells that it lives."""

    id: str
    workspace: str
    name: str | None  # None: ephemeral, or deleted
    created: float
    expires: float | None = None


class DictEntryRow(NamedTuple):
    """A key, pickled, and its value: here, or in a file of this name."""

    dict_id: str
    key: bytes
    size: int
    file: str | None = None
    value: bytes | None = None


class QueueRow(NamedTuple):
    """As `DictRow`; `sequence` is the number of the last item, `partitions` counts those that hold items."""

    id: str
    workspace: str
    name: str | None
    created: float
    expires: float | None = None
    sequence: int = 0
    partitions: int = 0


class QueuePartitionRow(NamedTuple):
    """A partition that holds items, until it is empty or expires; b"" is the one without a name."""

    queue_id: str
    partition: bytes
    items: int
    bytes: int
    expires: float


class QueueItemRow(NamedTuple):
    queue_id: str
    partition: bytes
    sequence: int
    value: bytes


class ImageRow(NamedTuple):
    digest: str
    state: str  # building, ready, failed
    created: float
    build_s: float | None = None
    error: str | None = None
    spec: bytes = b""


class ImageNameRow(NamedTuple):
    workspace: str
    name: str  # NAME:TAG
    digest: str
    created: float


class WorkspaceRow(NamedTuple):
    name: str
    created: float


@dataclass(frozen=True, kw_only=True)
class CallFilter:
    """Which calls to list, newest first. `before` is the last id of the page before."""

    app: str | None = None  # name or id
    function: str | None = None  # "Ocr" takes in "Ocr.predict"
    state: CallState | None = None
    kind: str | None = None
    parent: str | None = None
    since: float | None = None
    before: str | None = None
    limit: int = 100


@dataclass(frozen=True, kw_only=True)
class InstanceFilter:
    """Which instances to list, newest first."""

    app: str | None = None  # name or id
    function: str | None = None
    live_only: bool = False
    before: str | None = None
    limit: int = 100


@dataclass(frozen=True, kw_only=True)
class SandboxFilter:
    """Which sandboxes to list, newest first."""

    app: str | None = None  # name or id
    name: str | None = None
    live_only: bool = True
    before: str | None = None
    limit: int = 100


@dataclass(frozen=True, kw_only=True)
class EventFilter:
    """Which events to list, newest first."""

    kind: str | None = None
    subject: str | None = None
    since: float | None = None
    before: str | None = None
    limit: int = 100


class UnfinishedCall(NamedTuple):
    """A call to go on with after a restart, with its unfinished inputs and the attempts that failed."""

    call: CallRow
    inputs: tuple[InputRow, ...]
    attempts: tuple[AttemptRow, ...] = ()
