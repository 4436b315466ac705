"""The sandboxes of one launcher: whether this machine can hold any, their start, their files, their end."""

import asyncio
import logging
import os
import shutil
from pathlib import Path

from freehold.core.errors import NotFoundError, UnimplementedError
from freehold.core.home import Home
from freehold.core.specs import ImageSpec
from freehold.launchers.contract import SandboxRequest
from freehold.launchers.process import jail, snapshots, system
from freehold.launchers.process.build import find_uv
from freehold.launchers.process.cgroup import Cgroups
from freehold.launchers.process.held import Cell, Held
from freehold.launchers.process.jail import Jail
from freehold.launchers.process.network import Networks, inner_pid, resolv_conf

log = logging.getLogger("freehold.sandboxes")


class Jails:
    """Each sandbox has a folder under the home's `sandboxes`, which goes with it."""

    def __init__(self, home: Home, cgroups: Cgroups, networks: Networks) -> None:
        self._home, self._cgroups, self._networks = home, cgroups, networks
        self._held: dict[str, Held] = {}
        self._jails: dict[str, Jail] = {}
        self._found: tuple[str | None, jail.Mode, str] | None = None
        self._etc: asyncio.Task[Path] | None = None
        self._closed = False
        # of a server that was killed; first out of the way, since it may be much
        old = home.sandboxes.with_name("sandboxes.old")
        if home.sandboxes.exists():
            system.discard(old)
            home.sandboxes.rename(old)
        self._old = old

    def guard(self) -> str:
        """Why sandboxes cannot be had, or not whole, with the fix; else "ok"."""
        return self._probe()[2]

    async def open(self, request: SandboxRequest) -> Held:
        bwrap, mode, why = self._found or await asyncio.to_thread(self._probe)
        if bwrap is None:
            raise UnimplementedError(f"this machine cannot hold untrusted code, so it runs no sandboxes: {why}")
        if self._closed:
            raise UnimplementedError("the server is going down")
        if mode != "overlay" and (request.image / "system").is_dir():
            raise UnimplementedError(f"the sandbox's image has changes of the system, which need overlays: {why}")
        scratch = self._home.sandboxes / request.sandbox
        laid = request.network == "own" and mode != "overlay"
        one = Jail(
            scratch=scratch, resolver=scratch / "resolv.conf" if laid else None, image=request.image, etc=await self._copied_etc(),
            ground=self._home.system if mode == "overlay" else None, volumes=request.volumes, sockets=request.sockets, apart=request.network != "host", devices=request.devices, mode=mode, uv=_uv(),
        )  # fmt: skip
        self._jails[request.sandbox] = one
        try:
            await asyncio.to_thread(_lay_out, one, request)
            await self._start(bwrap, one, request)
            held = self._held[request.sandbox]
            if request.sockets is not None:
                await held.relay()
        except BaseException:
            await self.forget(request.sandbox)
            raise
        return held

    async def snapshot(self, sandbox: str, image: Path) -> ImageSpec:
        one = self._jails.get(sandbox)
        if one is None:
            raise NotFoundError(f"the files of sandbox {sandbox} are kept no longer")
        if one.mode != "overlay":
            raise UnimplementedError(f"snapshots need overlays: {self.guard()}")
        return await asyncio.to_thread(snapshots.keep, one, image, self._home)

    async def forget(self, sandbox: str) -> None:
        """End what is left of a sandbox, and remove its files."""
        held = self._held.pop(sandbox, None)
        if held is not None:
            await held.kill()
        one = self._jails.pop(sandbox, None)
        if one is not None:
            await asyncio.to_thread(system.discard, one.scratch)

    async def close(self) -> None:
        self._closed = True
        for held in self._held.values():
            held.kill_now()
        await asyncio.gather(*(h.gone.wait() for h in self._held.values()))
        await asyncio.to_thread(system.discard, self._home.sandboxes)

    # ---- how

    def _probe(self) -> tuple[str | None, jail.Mode, str]:
        if self._found is None:
            self._found = jail.find(self._home.sandboxes)
            system.discard(self._old)
        return self._found

    def _copied_etc(self) -> "asyncio.Future[Path]":
        if self._etc is None:
            self._etc = asyncio.create_task(asyncio.to_thread(self._copy_etc))
        return asyncio.shield(self._etc)

    def _copy_etc(self) -> Path:
        target = self._home.sandboxes / "etc"
        jail.copy_etc(target)
        system.make_ground(self._home.system)
        return target

    async def _start(self, bwrap: str, one: Jail, request: SandboxRequest) -> None:
        if request.network != "own":
            held = self._held[request.sandbox] = Held(self._cell(bwrap, one, request))
            await held.ready()
            return
        info, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            held = self._held[request.sandbox] = Held(self._cell(bwrap, one, request, theirs))
        except BaseException:
            os.close(info)
            raise
        finally:
            os.close(theirs)
        try:
            await held.ready()  # bubblewrap and slirp4netns would both make the loopback
        except BaseException:
            os.close(info)
            raise
        pid = await inner_pid(info)
        await self._networks.shut_loopback(pid)
        held.join(await self._networks.attach(pid, one.scratch))

    def _cell(self, bwrap: str, one: Jail, request: SandboxRequest, info_fd: int = -1) -> Cell:
        limits = self._cgroups.limits(
            request.sandbox, memory_mib=request.memory_limit_mib, cpu=request.cpu_limit, processes=request.processes
        )
        return Cell(
            argv=jail.argv(bwrap, one, info_fd=info_fd),
            warden=lambda fd: jail.warden(one, fd, request.processes),
            output=one.scratch / "warden.log",
            groups=(self._cgroups.tree(request.sandbox), limits),
            info_fd=info_fd, shared=not one.apart,
        )  # fmt: skip


def _uv() -> Path | None:
    found = find_uv()
    return None if found is None else Path(found).resolve()


def _lay_out(one: Jail, request: SandboxRequest) -> None:
    """What has to lie there before it starts."""
    jail.prepare(one)
    for folder, remote in request.files:
        shutil.copytree(folder, _upper(one, remote), symlinks=True, dirs_exist_ok=True)
    for _, path, _ in request.volumes:
        _upper(one, path).mkdir(parents=True, exist_ok=True)
    for name in ("resolv.conf", "hosts"):  # of now: a machine may have moved to another network
        own = name == "resolv.conf" and request.network == "own"
        text = resolv_conf().encode() if own else _read(Path("/etc", name))
        if own and one.resolver is not None:
            one.resolver.write_bytes(text)
        if text and one.mode == "overlay" and text != _read(one.etc / name):
            (one.scratch / "up/etc" / name).write_bytes(text)


def _upper(one: Jail, path: str) -> Path:
    """Where a path lies in the sandbox's own layers; nothing has run in there yet that could have laid a link."""
    found = jail.system_of(one).upper(path)
    assert found is not None, path
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
