"""What a user declares, as frozen values: the SDK makes them, the wire carries them as JSON, the server keeps them.

Units stand last in a name. `None` means «the platform's default», never «unlimited» unless the field says so.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

DEFAULT_CPU = 0.125  # cores
DEFAULT_MEMORY_MIB = 128


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one instance asks for."""

    cpu: float | None = None  # cores reserved; DEFAULT_CPU when None
    cpu_limit: float | None = None  # cores it may use at most; None: all
    memory_mib: int | None = None  # MiB reserved; DEFAULT_MEMORY_MIB when None
    memory_limit_mib: int | None = None  # hard limit in MiB; None: none
    gpu: tuple[str, ...] = ()  # alternatives, best first, each in the form "A10G", "A100-80GB:2" or "any"
    ephemeral_disk_mib: int | None = None


@dataclass(frozen=True, kw_only=True)
class Retries:
    """Delay before retry n (1-based) is min(initial_delay_s * backoff ** (n - 1), max_delay_s)."""

    max_retries: int
    backoff: float = 2.0
    initial_delay_s: float = 1.0
    max_delay_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Scaling:
    min_instances: int = 0
    max_instances: int | None = None  # None: as many as the machine holds
    buffer_instances: int = 0
    scaledown_window_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Concurrency:
    """How many inputs one instance runs at once."""

    max_inputs: int = 1
    target_inputs: float | None = None  # what the autoscaler aims at; a server's may be 1.5: three for two instances


@dataclass(frozen=True, kw_only=True)
class Batching:
    max_batch_size: int
    wait_ms: int


@dataclass(frozen=True, kw_only=True)
class Period:
    """Counted from when its version was deployed, by UTC's calendar. Whole numbers of at least 0, but for `seconds`."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: float = 0


@dataclass(frozen=True, kw_only=True)
class Cron:
    expression: str  # minute, hour, day of month, month, day of week
    timezone: str = "UTC"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a function is called by itself: one of the two."""

    period: Period | None = None
    cron: Cron | None = None


WebKind = Literal["fastapi_endpoint", "asgi_app", "wsgi_app", "web_server", "server"]
SERVER_FINISH_S = 10.0  # what is under way in a server may go on for, at the least, when its instance is to go
LEAST_START_S = 30.0  # an instance has so long to be ready, unless its function says otherwise
OPEN_REQUESTS = 10_000  # at once in one instance of a server that sets no limit itself


@dataclass(frozen=True, kw_only=True)
class Web:
    """How a function or method is reached over HTTP."""

    kind: WebKind
    method: str = "GET"  # fastapi_endpoint only
    label: str | None = None  # None: `{app}-{function}` or `{app}-{cls}-{method}`
    docs: bool = False
    requires_proxy_auth: bool = False
    port: int | None = None  # web_server and server only
    startup_timeout_s: float | None = None
    exit_grace_s: float = 0.0  # server only: what is under way may go on for so long when its instance ends


StepKind = Literal[
    "debian_slim", "from_registry", "from_dockerfile", "from_scratch", "from_id", "from_name", "micromamba",
    "pip_install", "uv_pip_install", "uv_sync", "poetry_install", "micromamba_install", "apt_install",
    "run_commands", "run_function", "dockerfile_commands", "env", "workdir", "add_local", "entrypoint", "cmd", "shell",
    "snapshot",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ImageStep:
    """One step of an image's recipe. `kind` is the builder method's name; `args` are its arguments as plain JSON."""

    kind: StepKind
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    beside: dict[str, Any] = field(default_factory=dict[str, Any])  # what it takes to run it; not part of its digest


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """A content-addressed recipe. `core.digests.image_digest(spec)` is its key; later local files (`mounts`) do not rebuild it.

    Args by kind, those that were not given left out:
      debian_slim, micromamba {python_version}; from_id {id}; from_name {name}: the server puts that image's steps in their place;
      from_registry {tag, add_python, setup_dockerfile_commands, registry: aws or gcp, registry_secrets};
      from_dockerfile {dockerfile, add_python, build_args, context: digest of a tar, registry_secrets};
      pip_install, uv_pip_install {packages, requirements: lines, index_url, extra_index_url, find_links, pre, extra_options, uv_version};
      uv_sync {pyproject, lock, groups, extras, frozen, extra_options, uv_version};
      poetry_install {pyproject, lock, with, without, only, poetry_version, old_installer};
      micromamba_install {packages, channels, spec_file: text}; apt_install {packages}; run_commands {commands};
      dockerfile_commands {commands, build_args, context}; env {vars}; workdir {path}; add_local {digest, remote_path} (copy=True);
      run_function {module, qualname, code: digest, call: base64 of the pickled arguments}, beside {serialized or mounts, timeout_s, cpu, memory};
      entrypoint, cmd, shell {commands}; snapshot {layer: digest of what a sandbox wrote}, which stands first and alone.
    Steps that run something also take {env, secrets: [SecretRef], volumes: {path: VolumeMount}, gpu, force: a word that is new in each
    process, which builds this step and those after it anew}.
    """

    steps: tuple[ImageStep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mount:
    """Local files as they were at deploy: a tar of digest `digest`, laid out under `remote_path` when an instance starts."""

    digest: str  # sha256 hex of the uncompressed tar, kept as a blob
    remote_path: str  # absolute; files go beneath it. A single file is a tar of one entry, in its parent folder


@dataclass(frozen=True, kw_only=True)
class VolumeMount:
    path: str
    name: str  # of the volume, or its id
    read_only: bool = False
    sub_path: str | None = None  # only this folder of it; made when it is not there
    create_if_missing: bool = False
    ephemeral: bool = False


@dataclass(frozen=True, kw_only=True)
class SecretRef:
    """A secret by name, or values given in the program (`Secret.from_dict`), which the server keeps sealed."""

    name: str | None = None
    required_keys: tuple[str, ...] = ()
    values: dict[str, str] | None = None  # only client -> server; never stored in the clear, never sent back
    sealed: str | None = None  # the server's id of the values that it sealed


@dataclass(frozen=True, kw_only=True)
class BucketMount:
    """A bucket of an object store that speaks S3, or the part of it whose keys begin with `prefix`."""

    path: str
    bucket: str
    endpoint: str | None = None  # URL; None: Amazon's
    prefix: str | None = None  # ends in "/"
    secret: SecretRef | None = None  # AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; None: no signature
    read_only: bool = False
    requester_pays: bool = False
    path_style: bool = False


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A `parameter()` of a Cls."""

    name: str
    type: Literal["str", "int", "bool", "bytes"]
    default: str | int | bool | None = None
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of a Cls."""

    name: str
    is_generator: bool = False
    web: Web | None = None
    batching: Batching | None = None


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """One Function: code + Image + Resources + policies. A Cls is a Function with methods."""

    name: str  # unique in its app; a Cls has its class's name
    module: str  # importable once `mounts` and `sys_path` are in place
    qualname: str
    kind: Literal["function", "cls"] = "function"
    serialized: bytes | None = None  # cloudpickle of the function or class, when `serialized=True`
    image: ImageSpec = field(default_factory=ImageSpec)
    mounts: tuple[Mount, ...] = ()  # the user's source, and add_local_* without copy
    resources: Resources = field(default_factory=Resources)
    timeout_s: float = 300.0
    startup_timeout_s: float | None = None  # None: timeout_s, or more where that is short; see `start_s`
    retries: Retries | None = None
    scaling: Scaling = field(default_factory=Scaling)
    concurrency: Concurrency = field(default_factory=Concurrency)
    batching: Batching | None = None  # of a plain function; a Cls has it on its method
    web: Web | None = None
    is_generator: bool = False
    schedule: Schedule | None = None  # of a plain function that can be called without arguments
    methods: tuple[Method, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])
    secrets: tuple[SecretRef, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    buckets: tuple[BucketMount, ...] = ()
    single_use: bool = False  # one input an instance
    cluster_size: int = 1  # ranks that run a call together; `resources` are those of all
    block_network: bool = False  # no network but its own loopback, and its link to the server
    snapshot: bool = False  # has @enter(snap=True) hooks, to be run in the warm parent
    doc: str | None = None  # first line of the docstring
    json_schema: dict[str, Any] | None = None  # of the arguments, for the OpenAPI page

    def endpoints(self) -> dict[str, Web]:
        """Web endpoints by method name; the function's own stands under the empty name."""
        own = {"": self.web} if self.web else {}
        return own | {m.name: m.web for m in self.methods if m.web}

    @property
    def start_s(self) -> float:
        """How long an instance may take to be ready. A short `timeout` is meant for inputs: a busy machine starts Python in seconds."""
        return self.startup_timeout_s or max(self.timeout_s, LEAST_START_S)

    @property
    def finish_s(self) -> float:
        """How long an instance that is to go may work on what it has begun."""
        server = next((w for w in self.endpoints().values() if w.kind == "server"), None)
        return self.timeout_s if server is None else max(SERVER_FINISH_S, server.exit_grace_s)

    def ports(self) -> frozenset[int]:
        """Ports on which its own web servers listen."""
        return frozenset(web.port for web in self.endpoints().values() if web.port is not None)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How one sees that a sandbox is ready: a port takes connections, or a command succeeds."""

    port: int | None = None
    command: tuple[str, ...] = ()
    interval_s: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """A sandbox: a place where untrusted code runs, held to itself."""

    command: tuple[str, ...] = ()  # its end is the sandbox's; without one it lasts until its timeout
    name: str | None = None  # unique among the running ones of its app
    image: ImageSpec = field(default_factory=ImageSpec)
    mounts: tuple[Mount, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])
    secrets: tuple[SecretRef, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    resources: Resources = field(default_factory=Resources)
    timeout_s: float = 300.0  # of its whole life
    idle_timeout_s: float | None = None  # without a command that runs, an input or a connection
    workdir: str | None = None
    block_network: bool = False
    cidrs: tuple[str, ...] | None = None  # what it may connect to; with neither list: everything
    domains: tuple[str, ...] | None = None  # "*.example.com" takes in what is below it, "*" everything
    ports: tuple[int, ...] = ()  # that are reached through tunnels
    terminal: bool = False
    tags: dict[str, str] = field(default_factory=dict[str, str])
    probe: Probe | None = None

    @property
    def walled(self) -> bool:
        """Whether it has a network of its own."""
        return self.block_network or self.cidrs is not None or self.domains is not None


@dataclass(frozen=True, kw_only=True)
class AppSpec:
    name: str | None
    functions: tuple[FunctionSpec, ...] = ()
    tags: dict[str, str] = field(default_factory=dict[str, str])
    description: str | None = None  # the file or module it came from
