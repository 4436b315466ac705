"""The HTTP control API's requests and answers, as plain dataclasses: FastAPI describes them, the SDK reads them with msgspec.

Times are seconds since the epoch, durations seconds, sizes bytes, unless the name says otherwise.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

from freehold.core.overrides import Overrides
from freehold.core.specs import AppSpec, FunctionSpec, ImageSpec, Parameter, SandboxSpec, SecretRef
from freehold.core.states import AppState, CallState, InstanceState, SandboxState


@dataclass(frozen=True, kw_only=True)
class ErrorBody:
    """`{"error": {...}}` of every answer that is not 2xx."""

    code: str
    message: str
    type: str  # class name in core.errors
    request_id: str = ""


# ---- apps


@dataclass(frozen=True, kw_only=True)
class AppRequest:
    """Create an ephemeral app or deploy one. Image environments must be built before (`POST /v1/images`)."""

    spec: AppSpec
    mode: Literal["ephemeral", "detached", "deploy"]
    strategy: Literal["rolling", "recreate"] = "rolling"
    tag: str | None = None
    client: str = ""  # client program and version
    dry_run: bool = False  # check only
    replaces: str = ""  # id of an ephemeral app; this is its next version, and `client` holds it from now on
    if_missing: bool = False  # deploy only where no app of this name is deployed; else answer with that one


@dataclass(frozen=True, kw_only=True)
class FunctionHandle:
    id: str
    name: str
    endpoints: dict[str, str] = field(default_factory=dict[str, str])  # method name -> URL
    is_generator: bool = False
    methods: tuple[str, ...] = ()  # of a class
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FunctionDetail:
    """A function that runs, and what it is run as; its code and what is sealed are left out."""

    handle: FunctionHandle
    app_id: str
    app: str
    version: int
    image: str  # digest
    spec: FunctionSpec


@dataclass(frozen=True, kw_only=True)
class AppHandle:
    id: str
    name: str
    version: int
    url: str  # of its dashboard page
    functions: dict[str, FunctionHandle]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EndpointView:
    """How an endpoint is asked. `method` is empty where the program has routes of its own."""

    url: str
    method: str = ""
    docs: bool = False  # at /docs
    requires_proxy_auth: bool = False


@dataclass(frozen=True, kw_only=True)
class FunctionView:
    id: str
    app_id: str
    app: str
    name: str
    kind: str
    digest: str
    endpoints: dict[str, str]
    image: str  # digest
    cpu: float
    memory_mib: int
    gpu: tuple[str, ...]
    timeout_s: float
    min_instances: int
    max_instances: int | None
    instances: int  # live now
    backlog: int  # inputs waiting
    running: int
    doc: str | None = None
    methods: tuple[str, ...] = ()  # of a class, those that are called
    web: dict[str, EndpointView] = field(default_factory=dict[str, EndpointView])  # as `endpoints`, with how to ask
    schedule: str | None = None  # as "Period(days=1)"
    next_run: float | None = None  # when its schedule calls it next


@dataclass(frozen=True, kw_only=True)
class AppView:
    id: str
    name: str
    state: AppState
    version: int
    created: float
    stopped: float | None
    description: str | None
    instances: int
    functions: tuple[FunctionView, ...] = ()
    tags: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class VersionView:
    app: str
    version: int
    created: float
    tag: str | None
    client: str
    current: bool
    functions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TagsRequest:
    tags: dict[str, str]  # all of them: those that are not named go


@dataclass(frozen=True, kw_only=True)
class RollbackRequest:
    version: int | None = None  # None: the one before


# ---- pools


@dataclass(frozen=True, kw_only=True)
class VariantRequest:
    function: str  # its id
    overrides: Overrides


@dataclass(frozen=True, kw_only=True)
class VariantView:
    id: str
    overrides: Overrides  # as the server keeps them: secrets of the program sealed


@dataclass(frozen=True, kw_only=True)
class PoolRef:
    """One pool of a function; bytes are base64."""

    function: str  # its id
    parameters: bytes = b""  # as `Submit.parameters`
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class ScalingChange:
    """None leaves what is."""

    min_instances: int | None = None
    max_instances: int | None = None  # 0: as many as the machine holds
    buffer_instances: int | None = None
    scaledown_window_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class ScalingRequest:
    pool: PoolRef
    change: ScalingChange = field(default_factory=ScalingChange)


@dataclass(frozen=True, kw_only=True)
class PoolView:
    backlog: int = 0  # inputs that wait
    instances: int = 0
    running: int = 0  # inputs that run
    headroom: int = 0  # inputs that its instances could take at once


# ---- images


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    spec: ImageSpec


@dataclass(frozen=True, kw_only=True)
class ImageView:
    digest: str
    state: Literal["building", "ready", "failed", "deleted"]
    created: float
    build_s: float | None = None
    error: str | None = None
    size_bytes: int | None = None
    used: float | None = None  # when something was last started from it
    apps: tuple[str, ...] = ()  # that run now with it
    names: tuple[str, ...] = ()  # NAME:TAG, that it was published under
    steps: tuple[str, ...] = ()  # in short, of `show` alone

    @property
    def id(self) -> str:
        """As `Image.object_id` gives it and `Image.from_id` takes it."""
        return f"im-{self.digest[:24]}"


@dataclass(frozen=True, kw_only=True)
class ImageName:
    name: str  # NAME:TAG


@dataclass(frozen=True, kw_only=True)
class PruneRequest:
    unused_s: float = 0.0  # only images from which nothing was started for so long


@dataclass(frozen=True, kw_only=True)
class PruneResult:
    deleted: tuple[str, ...]  # digests
    freed_bytes: int


# ---- blobs


@dataclass(frozen=True, kw_only=True)
class Digests:
    """Sha256 hex: those asked about, or of these those that are not there."""

    digests: list[str] = field(default_factory=list[str])


# ---- calls


@dataclass(frozen=True, kw_only=True)
class AttemptView:
    index: int
    attempt: int
    instance: str | None
    state: CallState
    started: float | None
    ended: float | None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class InputView:
    index: int
    state: CallState
    attempt: int
    method: str
    instance: str | None
    created: float
    started: float | None
    ended: float | None
    args_bytes: int
    result_bytes: int | None
    error: str | None = None  # type and message
    traceback: str | None = None


@dataclass(frozen=True, kw_only=True)
class CallView:
    id: str
    app_id: str
    app: str
    function_id: str
    function: str  # with its method: "Ocr.predict"
    kind: str  # remote, spawn, map, generator, web, http
    state: CallState
    created: float
    started: float | None
    ended: float | None
    inputs: int
    succeeded: int
    failed: int
    parent: str | None = None
    error: str | None = None
    parent_index: int | None = None  # which input of `parent` made it


@dataclass(frozen=True, kw_only=True)
class CallDetail:
    call: CallView
    inputs: tuple[InputView, ...]
    attempts: tuple[AttemptView, ...]


@dataclass(frozen=True, kw_only=True)
class GraphInput:
    """One input of a call, and the input that made the call."""

    call: str
    index: int
    instance: str | None
    state: CallState
    function: str  # with its method: "Ocr.predict"
    module: str
    parent: str | None  # a call
    parent_index: int  # which input of it


@dataclass(frozen=True, kw_only=True)
class CallGraph:
    inputs: tuple[GraphInput, ...]  # parents first
    truncated: bool = False  # there are more


class JsonCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/functions/{app}/{function}/call`. A field that it does not have is refused."""

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    parameters: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class JsonResult:
    call: str
    result: Any


# ---- instances


@dataclass(frozen=True, kw_only=True)
class TunnelRequest:
    port: int  # on which something listens, or will, inside the instance


@dataclass(frozen=True, kw_only=True)
class InstanceView:
    id: str
    app_id: str
    app: str
    function_id: str
    function: str
    version: int
    state: InstanceState
    created: float
    ready: float | None
    ended: float | None
    reason: str | None  # why it ended, or could not start
    pid: int | None
    running: int
    slots: int
    devices: tuple[str, ...]
    phases: dict[str, float]  # start-up waterfall, in order: queue, image, parent, fork, import, enter, first_input
    cpu: float
    memory_mib: int
    simulated: bool = False  # runs on a declared device


# ---- terminals


@dataclass(frozen=True, kw_only=True)
class TerminalText:
    """What an instance shows at its app's terminal; with `reads` it wants a line."""

    text: str = ""
    reads: bool = False


@dataclass(frozen=True, kw_only=True)
class TerminalAsk:
    """The same, as it comes to whoever has the terminal."""

    id: int
    text: str = ""
    reads: bool = False


@dataclass(frozen=True, kw_only=True)
class TerminalAnswer:
    """The line that was typed, with its end; None when there are no more."""

    line: str | None = None
    id: int = 0  # of what is answered


# ---- sandboxes


@dataclass(frozen=True, kw_only=True)
class SandboxRequest:
    app: str  # id or name
    spec: SandboxSpec


@dataclass(frozen=True, kw_only=True)
class SandboxView:
    id: str
    app_id: str
    app: str
    name: str | None
    state: SandboxState
    created: float
    ended: float | None
    returncode: int | None  # 124 after its timeout, 137 when it was terminated
    reason: str | None  # why it ended, where it did not by itself
    image: str  # digest
    timeout_s: float
    tags: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class CommandRequest:
    """Run a program in a sandbox, or one of its tools for files."""

    argv: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])
    secrets: tuple[SecretRef, ...] = ()
    workdir: str | None = None
    timeout_s: float | None = None
    terminal: tuple[int, int] | None = None  # rows, columns
    silent: tuple[Literal["stdout", "stderr"], ...] = ()  # streams that nobody will read
    tool: Literal["", "read", "write", "list", "stat", "make", "remove", "watch"] = ""
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class CommandView:
    """A command in a sandbox. `main` is the sandbox's own."""

    id: str
    returncode: int | None
    timed_out: bool = False
    failure: dict[str, str] | None = None  # of a tool: the error's name, and its message


@dataclass(frozen=True, kw_only=True)
class SizeRequest:
    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class SignalRequest:
    number: int = 15


@dataclass(frozen=True, kw_only=True)
class TunnelView:
    """A port of an instance or a sandbox, and where it is reached."""

    port: int  # inside
    host: str
    host_port: int


@dataclass(frozen=True, kw_only=True)
class SnapshotView:
    spec: ImageSpec
    digest: str


# ---- logs


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line, as in the JSON-lines files; `extra` is the event's own fields."""

    timestamp: str  # RFC 3339, UTC, microseconds
    level: str
    message: str
    logger: str
    service: str
    type: str  # training, inference, system, api
    app: str = ""
    function: str = ""
    instance: str = ""
    call: str = ""
    request_id: str = ""
    stream: str = ""  # stdout, stderr
    seq: int = 0  # grows within an instance
    ending: str = (
        "\n"  # "" where the text goes on in the next line of its instance and stream, "\r" where that overwrites it
    )
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


# ---- secrets, volumes


@dataclass(frozen=True, kw_only=True)
class SecretRequest:
    values: dict[str, str]
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class SecretView:
    """A secret's keys; its values never leave the server but into instances."""

    name: str
    keys: tuple[str, ...]
    created: float
    updated: float
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class SecretUpdate:
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class VolumeView:
    name: str
    created: float
    id: str = ""
    bytes: int | None = None
    files: int | None = None


@dataclass(frozen=True, kw_only=True)
class RenameRequest:
    name: str


@dataclass(frozen=True, kw_only=True)
class CopyRequest:
    """As `cp SOURCES TARGET` within one volume."""

    sources: tuple[str, ...]
    target: str
    recursive: bool = False


FileKind = Literal["file", "directory", "link", "fifo", "socket"]


@dataclass(frozen=True, kw_only=True)
class FileView:
    path: str  # relative to the volume's root
    type: FileKind
    bytes: int
    modified: float
    executable: bool = False


# ---- the platform


@dataclass(frozen=True, kw_only=True)
class EnvironmentView:
    name: str
    created: float


@dataclass(frozen=True, kw_only=True)
class StatusView:
    version: str
    protocol: int
    home: str
    url: str
    pid: int
    started: float
    cpu_total: float
    cpu_reserved: float
    memory_total_mib: int
    memory_reserved_mib: int
    devices: tuple[str, ...]
    apps: int
    instances: int
    backlog: int
    running: int
    guards: dict[str, str]  # bubblewrap, cgroup, pdeathsig, sqlite: "ok", or what is missing and the fix
