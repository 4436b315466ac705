"""Sandbox: a place where untrusted code runs, held to itself: its processes, its files and, if asked for, its network."""

import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack, cast

from freehold.core.errors import (
    ClientClosed,
    DeprecationError,
    InvalidError,
    NotFoundError,
    SandboxTerminatedError,
    SandboxTimeoutError,
    TimeoutError,
    UnimplementedError,
)
from freehold.core.names import check_name
from freehold.core.specs import ImageStep, SandboxSpec
from freehold.core.specs import Probe as ProbeSpec
from freehold.core.states import SandboxState
from freehold.protocol.schemas import (
    CommandRequest,
    CommandView,
    SandboxRequest,
    SandboxView,
    SnapshotView,
    TagsRequest,
    TunnelView,
)
from freehold.sdk import checks
from freehold.sdk.bucket import CloudBucketMount
from freehold.sdk.container_process import ContainerProcess, Reading
from freehold.sdk.context import is_local, own_app_id, refuse_in_plan
from freehold.sdk.environment import named, only_own
from freehold.sdk.faces import both, both_items_static, both_static, patient
from freehold.sdk.http import Api, segment
from freehold.sdk.image import Image, default_image
from freehold.sdk.io_streams import StreamReader, StreamWriter
from freehold.sdk.options import FunctionOptions, resources
from freehold.sdk.sandbox_files import SandboxFilesystem
from freehold.sdk.secret import Secret
from freehold.sdk.source import Bundles
from freehold.sdk.stream_type import StreamType
from freehold.sdk.tracebacks import warn
from freehold.sdk.tunnel import Tunnel
from freehold.sdk.volume import Volume

if TYPE_CHECKING:
    from freehold.sdk.app import App
    from freehold.sdk.running import Progress

_POLL_S, _PAGE = 50, 100
_TERMINAL = (24, 80)
_LONG_S = 600.0  # a start, or a snapshot, of a large image


class SandboxOptions(TypedDict, total=False):
    """Options of `Sandbox.create`. Times are seconds, memory is MiB, cpu is cores."""

    app: "App | None"  # needed outside of an instance
    name: str | None  # unique among the app's running sandboxes
    tags: Mapping[str, str] | None
    image: Image | None
    env: Mapping[str, str | None] | None
    secrets: Collection[Secret] | None
    timeout: int | None  # of its whole life; 300
    idle_timeout: int | None
    workdir: str | None
    gpu: str | None
    cpu: float | tuple[float, float] | None
    memory: int | tuple[int, int] | None
    block_network: bool
    outbound_cidr_allowlist: Sequence[str] | None
    outbound_domain_allowlist: Sequence[str] | None
    cidr_allowlist: Sequence[str] | None  # the old name
    volumes: Mapping[str, Volume | CloudBucketMount]  # buckets are refused
    pty: bool
    encrypted_ports: Sequence[int]
    h2_ports: Sequence[int]
    unencrypted_ports: Sequence[int]
    readiness_probe: "Probe | None"
    verbose: bool
    # taken for Modal's sake, without effect on a platform of one's own
    cloud: object
    region: object
    runtime: object
    client: object
    environment_name: object
    inbound_cidr_allowlist: object
    experimental_options: object
    pty_info: object
    # what cannot be had here
    network_file_systems: object
    proxy: object
    custom_domain: object
    include_oidc_identity_token: bool
    _experimental_outbound_policy: object
    _experimental_enable_snapshot: bool
    _experimental_persistent: bool


class ExecOptions(TypedDict, total=False):
    """Options of `Sandbox.exec`."""

    stdout: StreamType
    stderr: StreamType
    timeout: float | None  # seconds; then it is killed, and wait() gives -1
    workdir: str | None
    env: Mapping[str, str | None] | None
    secrets: Collection[Secret] | None
    text: bool
    bufsize: Literal[-1, 1]  # 1: whole lines only
    pty: bool
    pty_info: object


_WITHOUT_EFFECT = ("cloud", "region", "runtime", "experimental_options", "inbound_cidr_allowlist", "verbose")
_CANNOT = {
    "network_file_systems": "network file systems are no more: use volumes=",
    "proxy": "the machine's own network is used, which has its own address",
    "custom_domain": "sandboxes are reached on this machine's loopback: put a proxy of your own before it",
    "include_oidc_identity_token": "nobody here issues identities",
    "_experimental_outbound_policy": "requests are not opened, so their headers cannot be replaced",
    "_experimental_persistent": "a sandbox ends for good: take snapshot_filesystem() and start from it",
}


@dataclass(frozen=True)
class Probe:
    """How one sees that a sandbox is ready; made by `with_tcp` or `with_exec`."""

    tcp_port: int | None = None
    exec_argv: tuple[str, ...] | None = None
    interval_ms: int = 100

    def __post_init__(self) -> None:
        if (self.tcp_port is None) == (self.exec_argv is None):
            msg = "make a Probe with Probe.with_tcp(PORT) or Probe.with_exec(PROGRAM, ...)"
            raise InvalidError(msg)

    @classmethod
    def with_tcp(cls, port: int, *, interval_ms: int = 100) -> Self:
        """Ready when this port of the sandbox takes connections."""
        if not _whole(port) or not 0 < port < 65_536:
            msg = f"Probe.with_tcp({port!r}): give a port from 1 to 65535"
            raise InvalidError(msg)
        return cls(tcp_port=port, interval_ms=_interval(interval_ms))

    @classmethod
    def with_exec(cls, *argv: str, interval_ms: int = 100) -> Self:
        """Ready when this command succeeds in the sandbox."""
        if not argv or not all(isinstance(a, str) for a in argv):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"Probe.with_exec{argv!r}: give a program and its arguments, as texts"
            raise InvalidError(msg)
        return cls(exec_argv=argv, interval_ms=_interval(interval_ms))


class Sandbox:
    """Made by `Sandbox.create`, or found by `from_id`, `from_name` and `list`."""

    def __init__(self, view: SandboxView, probe: Probe | None = None) -> None:
        self._view, self._probe = view, probe
        self._attached = True
        reading = Reading(by_line=True)
        self._main: ContainerProcess[str] = ContainerProcess(self._api, self._path, "main", reading)
        self._files = SandboxFilesystem(self._tool)

    def __repr__(self) -> str:
        return f"Sandbox({self.object_id!r})"

    @property
    def object_id(self) -> str:
        return self._view.id

    @property
    def app_id(self) -> str:
        return self._view.app_id

    # ---- made and found

    @staticmethod
    @both_static
    async def create(*args: str, **options: Unpack[SandboxOptions]) -> "Sandbox":
        """Start a sandbox that runs the program `args`, or one that waits for `exec` without any. It runs when this returns."""
        given = _checked(options)
        app = _app(given.get("app"))
        with Bundles() as bundles:
            spec = sandbox_spec(args, given, bundles)
            view = await patient(start, SandboxRequest(app=app, spec=spec), bundles)
        return Sandbox(view, given.get("readiness_probe"))

    @staticmethod
    @both_static
    async def from_id(sandbox_id: str, client: object = None) -> "Sandbox":
        """The sandbox with this id, running or ended."""
        del client  # a process has one
        return Sandbox(await patient(_api().get, f"/v1/sandboxes/{segment(sandbox_id)}", SandboxView))

    @staticmethod
    @both_static
    async def from_name(
        app_name: str,
        name: str,
        *,
        environment_name: str | None = None,
        include_terminated: bool = False,
        client: object = None,
    ) -> "Sandbox":
        """The running sandbox of this name in an app; with `include_terminated` else the last one that ended."""
        named(None, client)
        only_own(environment_name, f"sandbox {name!r}")
        query = {
            "app": app_name,
            "name": check_name(name, "a sandbox"),
            "live_only": not include_terminated,
            "limit": 1,
        }
        found = await patient(_api().get, "/v1/sandboxes", list[SandboxView], query)
        if not found:
            msg = f"no sandbox named {name!r} runs in app {app_name!r}"
            raise NotFoundError(msg)
        return Sandbox(found[0])

    @staticmethod
    @both_items_static
    async def list(
        *, app_id: str | None = None, tags: Mapping[str, str] | None = None, client: object = None
    ) -> AsyncGenerator["Sandbox", None]:
        """Running sandboxes, of one app or of all, that have at least these tags; newest first."""
        del client  # a process has one
        before: str | None = None
        while True:
            query = {"app": app_id, "limit": _PAGE, "before": before}
            page = await patient(_api().get, "/v1/sandboxes", list[SandboxView], query)
            for view in page:
                if (tags or {}).items() <= view.tags.items():
                    yield Sandbox(view)
            if len(page) < _PAGE:
                return
            before = page[-1].id

    # ---- its life

    @both
    async def wait(self, raise_on_termination: bool = True) -> None:
        """Wait for its end. SandboxTimeoutError after its timeout; SandboxTerminatedError when it was ended from outside."""
        while not self._view.state.final:
            self._view = await patient(_api().get, f"{self._path}/wait", SandboxView, {"timeout_s": _POLL_S})
        because = f": {self._view.reason}" if self._view.reason else ""
        if self._view.state is SandboxState.TIMED_OUT:
            raise SandboxTimeoutError(f"sandbox {self.object_id} was ended{because}")
        if self._view.state is not SandboxState.EXITED and raise_on_termination:
            raise SandboxTerminatedError(f"sandbox {self.object_id} was ended{because}")

    @both
    async def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        self._check_attached()
        await self._look()
        return self.returncode

    @property
    def returncode(self) -> int | None:
        """As of the last `wait` or `poll`: its command's exit code, 124 after its timeout, 137 when it was terminated."""
        return self._view.returncode

    @both
    async def terminate(self, *, wait: bool = False) -> int | None:
        """End it and everything in it; nothing when it has ended. With `wait` returns its exit code."""
        self._check_attached()
        self._view = await patient(_api().send, "POST", f"{self._path}/terminate", None, SandboxView)
        return self.returncode if wait else None

    @both
    async def detach(self) -> None:
        """Be done with this handle; the sandbox goes on, and `from_id` gives another."""
        self._attached = False

    @both
    async def wait_until_ready(self, *, timeout: float = 300) -> None:  # noqa: ASYNC109 (Modal's name)
        """Wait until its `readiness_probe` succeeds; TimeoutError when it does not within `timeout` seconds."""
        self._check_attached()
        if self._probe is None:
            msg = (
                "this sandbox has no readiness_probe: give one to Sandbox.create, and wait with the handle that it gave"
            )
            raise InvalidError(msg)
        if not checks.is_amount(timeout):
            msg = f"wait_until_ready: timeout={timeout!r} is not a number of seconds above 0"
            raise InvalidError(msg)
        argv, deadline = _probing(self._probe), time.monotonic() + timeout
        while time.monotonic() < deadline:
            process = await self._run(
                argv, {"stdout": StreamType.DEVNULL, "stderr": StreamType.DEVNULL, "timeout": max(1.0, timeout)}
            )
            if await process.wait._core() == 0:  # pyright: ignore[reportPrivateUsage]
                return
            await patient(time.sleep, self._probe.interval_ms / 1000)
        msg = f"sandbox {self.object_id} was not ready within {timeout:g} s"
        raise TimeoutError(msg)

    # ---- what is said of it

    @both
    async def get_tags(self) -> dict[str, str]:
        self._check_attached()
        return dict((await self._look()).tags)

    @both
    async def set_tags(self, tags: Mapping[str, str], *, client: object = None) -> None:
        """Replace its tags, by which `Sandbox.list` finds it."""
        del client  # a process has one
        self._check_attached()
        request = TagsRequest(tags=_tags(tags))
        self._view = await patient(_api().send, "PUT", f"{self._path}/tags", request, SandboxView)

    @both
    async def tunnels(self, timeout: int = 50) -> dict[int, Tunnel]:  # noqa: ASYNC109 (Modal's name)
        """Where its ports are reached from this machine."""
        del timeout  # they are there when it runs
        self._check_attached()
        found = await patient(_api().get, f"{self._path}/tunnels", list[TunnelView])
        return {t.port: Tunnel(t.host, t.host_port, t.host, t.host_port) for t in found}

    # ---- in it

    @property
    def stdout(self) -> StreamReader[str]:
        """Of its own program."""
        self._check_attached()
        return self._main.stdout

    @property
    def stderr(self) -> StreamReader[str]:
        self._check_attached()
        return self._main.stderr

    @property
    def stdin(self) -> StreamWriter:
        self._check_attached()
        return self._main.stdin

    @property
    def filesystem(self) -> SandboxFilesystem:
        """Its files."""
        self._check_attached()
        return self._files

    @both
    async def exec(self, *args: str, **options: Unpack[ExecOptions]) -> ContainerProcess[Any]:
        """Run a program in it; returns when it has started."""
        self._check_attached()
        checks.known_options(options, ExecOptions.__annotations__, "Sandbox.exec")
        return await self._run(args, options)

    @both
    async def snapshot_filesystem(self, timeout: int = 55, *, ttl: int | None = 30 * 24 * 3600) -> Image:  # noqa: ASYNC109 (Modal's name)
        """Keep its files as an image that another sandbox or a function starts from. It is kept for good, whatever `ttl` says."""
        self._check_attached()
        if ttl is not None and ttl <= 0:
            msg = f"snapshot_filesystem: ttl={ttl!r} is not a number of seconds above 0"
            raise InvalidError(msg)
        api = Api(_api().target, timeout_s=timeout)
        view = await patient(api.send, "POST", f"{self._path}/snapshot", None, SnapshotView)
        return Image(tuple(ImageStep(kind=s.kind, args=s.args) for s in view.spec.steps))

    @both
    async def reload_volumes(self, *, timeout: int = 55) -> None:  # noqa: ASYNC109 (Modal's name)
        """Nothing waits to be loaded: a volume is one shared folder, and what others wrote is there already."""
        del timeout
        self._check_attached()

    # ---- names that Modal has given up, which programs still use

    @both
    async def ls(self, path: str) -> "builtins_list[str]":
        """Names in a folder."""
        return [entry.name for entry in await self._files.list_files._core(path)]  # pyright: ignore[reportPrivateUsage]

    @both
    async def mkdir(self, path: str, parents: bool = False) -> None:
        await self._files.make_directory._core(path, create_parents=parents)  # pyright: ignore[reportPrivateUsage]

    @both
    async def rm(self, path: str, recursive: bool = False) -> None:
        await self._files.remove._core(path, recursive=recursive)  # pyright: ignore[reportPrivateUsage]

    # ---- what cannot be had here

    @both
    async def create_connect_token(self, user_metadata: object = None, port: int = 8080) -> None:
        del user_metadata, port
        raise UnimplementedError(
            "Sandbox.create_connect_token: sandboxes are reached on this machine's loopback, which needs no token: use "
            "encrypted_ports=[PORT] and tunnels()[PORT].url"
        )

    @both
    async def mount_image(self, path: object, image: object) -> None:
        del path, image
        raise UnimplementedError(
            "Sandbox.mount_image: mounts are made when a sandbox starts: give Sandbox.create image= or volumes="
        )

    @both
    async def unmount_image(self, path: object) -> None:
        del path
        raise UnimplementedError(
            "Sandbox.unmount_image: mounts are made when a sandbox starts, and last as long as it does"
        )

    @both
    async def snapshot_directory(self, path: object, **_: object) -> None:
        del path
        raise UnimplementedError(
            "Sandbox.snapshot_directory: a snapshot is of the whole file system: use snapshot_filesystem()"
        )

    # ---- how

    @property
    def _path(self) -> str:
        return f"/v1/sandboxes/{segment(self.object_id)}"

    def _api(self) -> Api:
        return _api()

    def _check_attached(self) -> None:
        if not self._attached:
            msg = "this handle was detached: take Sandbox.from_id(...) for another"
            raise ClientClosed(msg)

    async def _look(self) -> SandboxView:
        if not self._view.state.final:
            self._view = await patient(_api().get, self._path, SandboxView)
        return self._view

    async def _run(self, args: Sequence[str], options: ExecOptions) -> ContainerProcess[Any]:
        reading = Reading(
            text=options.get("text", True), by_line=options.get("bufsize", -1) == 1, stdout=options.get("stdout", StreamType.PIPE),
            stderr=options.get("stderr", StreamType.PIPE),
        )  # fmt: skip
        request = _command(args, options, reading)
        view = await patient(_api().send, "POST", f"{self._path}/commands", request, CommandView)
        return ContainerProcess(self._api, self._path, view.id, reading, limited=request.timeout_s is not None)

    async def _tool(self, name: str, arguments: dict[str, Any]) -> ContainerProcess[bytes]:
        request = CommandRequest(tool=cast("Any", name), arguments=arguments)
        view = await patient(_api().send, "POST", f"{self._path}/commands", request, CommandView)
        return ContainerProcess(self._api, self._path, view.id, Reading(text=False))


builtins_list = list


def _api() -> Api:
    from freehold.sdk import client

    return client.current().api


def start(request: SandboxRequest, bundles: Bundles, progress: "Progress | None" = None) -> SandboxView:
    """Upload, build, start. Blocks."""
    from freehold.sdk import client, running

    own, shown = client.current(), progress or running.Silent()
    running.upload(own.api, bundles, shown)
    if is_local():  # an instance may not build by itself; the server does, as it starts the sandbox
        running.build_images(own.api, [request.spec.image], shown)
    return Api(own.target, timeout_s=_LONG_S).send("POST", "/v1/sandboxes", request, SandboxView)


def _app(app: "App | None") -> str:
    refuse_in_plan("a sandbox is created")
    found = app.app_id if app is not None else own_app_id()
    found = found or own_app_id()
    if found:
        return found
    if app is not None:
        msg = f"{app!r} does not run: create the sandbox within `with app.run():`, or take App.lookup({app.name!r}, create_if_missing=True)"
        raise InvalidError(msg)
    msg = "outside of a function a sandbox needs an app: Sandbox.create(..., app=App.lookup('NAME', create_if_missing=True))"
    raise InvalidError(msg)


def _checked(options: Mapping[str, Any]) -> SandboxOptions:
    where = "Sandbox.create"
    checks.known_options(options, SandboxOptions.__annotations__, where)
    if "timeout" in options and options["timeout"] is None:
        msg = f"{where}: timeout=None is no limit; give seconds, at most a week"
        raise InvalidError(msg)
    given = {k: v for k, v in options.items() if v is not None}
    for name, why in _CANNOT.items():
        if given.pop(name, None):
            raise UnimplementedError(f"{where}: {name}= cannot be had here: {why}")
    for name in _WITHOUT_EFFECT:
        if given.pop(name, None) and name != "verbose":
            warn(f"{where}: {name}= has no effect on a platform of your own")
    if "cidr_allowlist" in given:
        if "outbound_cidr_allowlist" in given:
            msg = f"{where}: give outbound_cidr_allowlist=, and not its old name cidr_allowlist= too"
            raise InvalidError(msg)
        warn(f"{where}: cidr_allowlist= is now outbound_cidr_allowlist=", DeprecationError)
        given["outbound_cidr_allowlist"] = given.pop("cidr_allowlist")
    if isinstance(given.get("gpu"), (list, tuple)):
        msg = f"{where}: gpu={given['gpu']!r}: a sandbox takes one kind, such as gpu='A10G'"
        raise InvalidError(msg)
    return cast(SandboxOptions, given)


def sandbox_spec(args: Sequence[str], given: SandboxOptions, bundles: Bundles) -> SandboxSpec:
    """What the server is told; tars of the files that go along are added to `bundles`."""
    where = "Sandbox.create"
    _texts(args, where)
    checks.one(given.get("image"), Image, "image", where, fix="freehold.Image.debian_slim()")
    image = given.get("image") or default_image()
    secrets = checks.many(
        list(given.get("secrets") or ()), Secret, "secrets", where, fix="[freehold.Secret.from_name(...)]"
    )
    mounts = checks.mounts(given.get("volumes") or {}, (Volume, CloudBucketMount), where)
    volumes = {path: one for path, one in mounts.items() if isinstance(one, Volume)}
    if len(volumes) < len(mounts):
        msg = f"{where}: untrusted code is given no bucket, whose folder the server reads too: copy what it needs into a volume"
        raise UnimplementedError(msg)
    cidrs, domains = given.get("outbound_cidr_allowlist"), given.get("outbound_domain_allowlist")
    idle = given.get("idle_timeout")
    return SandboxSpec(
        command=tuple(args), name=given.get("name"), image=image.spec(bundles), mounts=bundles.mounts(image.files),
        env=checks.variables(given.get("env") or {}, where), secrets=tuple(s.spec for s in secrets),
        volumes=tuple(v.mount(path) for path, v in volumes.items()),
        resources=resources(cast(FunctionOptions, {k: v for k, v in given.items() if k in ("cpu", "memory", "gpu")}), where),
        timeout_s=float(given.get("timeout") or 300), idle_timeout_s=None if idle is None else float(idle), workdir=given.get("workdir"),
        block_network=bool(given.get("block_network")), cidrs=None if cidrs is None else tuple(cidrs),
        domains=None if domains is None else tuple(domains), ports=_ports(given), terminal=bool(given.get("pty")),
        tags=_tags(given.get("tags") or {}), probe=_probe(given.get("readiness_probe")),
    )  # fmt: skip


def _command(args: Sequence[str], options: ExecOptions, reading: Reading) -> CommandRequest:
    where = "Sandbox.exec"
    _texts(args, where)
    if reading.by_line and not reading.text:
        msg = f"{where}: bufsize=1 gives lines of text, and text=False gives bytes: leave one of them out"
        raise ValueError(msg)
    secrets = checks.many(
        list(options.get("secrets") or ()), Secret, "secrets", where, fix="[freehold.Secret.from_name(...)]"
    )
    return CommandRequest(
        argv=tuple(args), env=checks.variables(options.get("env") or {}, where), secrets=tuple(s.spec for s in secrets),
        workdir=options.get("workdir"), timeout_s=options.get("timeout"), terminal=_TERMINAL if options.get("pty") else None,
        silent=_silent(reading),
    )  # fmt: skip


def _silent(reading: Reading) -> tuple[Literal["stdout", "stderr"], ...]:
    out: tuple[Literal["stdout"], ...] = ("stdout",) if reading.stdout is StreamType.DEVNULL else ()
    return (*out, "stderr") if reading.stderr is StreamType.DEVNULL else out


def _probing(probe: Probe) -> tuple[str, ...]:
    if probe.exec_argv is not None:
        return probe.exec_argv
    return ("python", "-c", f"import socket; socket.create_connection(('127.0.0.1', {probe.tcp_port}), 1).close()")


def _probe(probe: Probe | None) -> ProbeSpec | None:
    if probe is None:
        return None
    return ProbeSpec(port=probe.tcp_port, command=probe.exec_argv or (), interval_s=probe.interval_ms / 1000)


def _ports(given: SandboxOptions) -> tuple[int, ...]:
    ports = [*given.get("encrypted_ports", ()), *given.get("h2_ports", ()), *given.get("unencrypted_ports", ())]
    wrong = next((p for p in ports if not _whole(p)), None)
    if wrong is not None:
        msg = f"Sandbox.create: port {wrong!r} is not a whole number"
        raise InvalidError(msg)
    return tuple(ports)


def _texts(args: Sequence[str], where: str) -> None:
    wrong = next((a for a in args if not isinstance(a, str)), None)  # pyright: ignore[reportUnnecessaryIsInstance]
    if wrong is not None:
        msg = f"{where}: argument {wrong!r} is not a text"
        raise InvalidError(msg)


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    wrong = next((p for p in tags.items() if not all(isinstance(t, str) for t in p)), None)  # pyright: ignore[reportUnnecessaryIsInstance]
    if wrong is not None:
        msg = f"tag {wrong!r} is not a pair of texts"
        raise InvalidError(msg)
    return dict(tags)


def _interval(interval_ms: int) -> int:
    if not _whole(interval_ms) or interval_ms <= 0:
        msg = f"a Probe's interval_ms={interval_ms!r} is not a whole number above 0"
        raise InvalidError(msg)
    return interval_ms


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
