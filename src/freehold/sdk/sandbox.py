"""Sandbox: a place where untrusted code runs, held to itself: its processes, its files and, if asked for, its network."""

import builtins
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast

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
from freehold.core.specs import ImageStep
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
from freehold.sdk.container_process import ContainerProcess, Reading
from freehold.sdk.context import is_local, own_app_id, refuse_in_plan
from freehold.sdk.environment import named, only_own
from freehold.sdk.faces import both, both_items_static, both_static, patient
from freehold.sdk.file_io import FileIO
from freehold.sdk.http import Api, segment
from freehold.sdk.image import Image
from freehold.sdk.io_streams import StreamReader, StreamWriter
from freehold.sdk.probe import Probe
from freehold.sdk.sandbox_files import SandboxFilesystem
from freehold.sdk.sandbox_options import (
    ExecOptions,
    SandboxOptions,
    checked,
    checked_tags,
    command_request,
    sandbox_spec,
)
from freehold.sdk.source import Bundles
from freehold.sdk.stream_type import StreamType
from freehold.sdk.tracebacks import warn
from freehold.sdk.tunnel import Tunnel

if TYPE_CHECKING:
    from freehold.sdk.app import App
    from freehold.sdk.running import Progress

_POLL_S, _PAGE = 50, 100
_LONG_S = 600.0  # a start, or a snapshot, of a large image


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
        given = checked(options)
        app = _app(given.get("app"))
        with Bundles() as bundles:
            spec = sandbox_spec(args, given, bundles)
            view = await patient(start, SandboxRequest(app=app, spec=spec), bundles)
        for warning in view.warnings:
            warn(warning)
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
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            process = await self._run(
                self._probe.argv,
                {"stdout": StreamType.DEVNULL, "stderr": StreamType.DEVNULL, "timeout": max(1.0, timeout)},
            )
            if await process.wait.core() == 0:
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
        request = TagsRequest(tags=checked_tags(tags))
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
        image = Image(tuple(ImageStep(kind=s.kind, args=s.args) for s in view.spec.steps))
        image.built = view.digest
        return image

    @both
    async def reload_volumes(self, *, timeout: int = 55) -> None:  # noqa: ASYNC109 (Modal's name)
        """Nothing waits to be loaded: a volume is one shared folder, and what others wrote is there already."""
        del timeout
        self._check_attached()

    # ---- names that Modal has given up, which programs still use

    @both
    async def open(self, path: str, mode: str = "r") -> FileIO:
        """An open file of it."""
        _old("open", "read_text, write_text, read_bytes or write_bytes")
        return await FileIO(self._files, path, mode).opened()

    @both
    async def ls(self, path: str) -> "builtins.list[str]":
        """Names in a folder."""
        _old("ls", "list_files")
        return [entry.name for entry in await self._files.list_files.core(path)]

    @both
    async def mkdir(self, path: str, parents: bool = False) -> None:
        _old("mkdir", "make_directory")
        await self._files.make_directory.core(path, create_parents=parents)

    @both
    async def rm(self, path: str, recursive: bool = False) -> None:
        _old("rm", "remove")
        await self._files.remove.core(path, recursive=recursive)

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
        request = command_request(args, options, reading)
        view = await patient(_api().send, "POST", f"{self._path}/commands", request, CommandView)
        return ContainerProcess(self._api, self._path, view.id, reading, limited=request.timeout_s is not None)

    async def _tool(self, name: str, arguments: dict[str, Any]) -> ContainerProcess[bytes]:
        request = CommandRequest(tool=cast("Any", name), arguments=arguments)
        view = await patient(_api().send, "POST", f"{self._path}/commands", request, CommandView)
        return ContainerProcess(self._api, self._path, view.id, Reading(text=False))


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


def _old(was: str, now: str) -> None:
    warn(f"Sandbox.{was} is now Sandbox.filesystem with {now}", DeprecationError)


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
