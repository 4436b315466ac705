"""Networks of instances' own: the namespace is bubblewrap's, the way outside is slirp4netns', a network stack in user space.

slirp4netns needs no rights on the machine, changes nothing of it, is up in milliseconds, and ends when our end of a pipe closes:
so with the instance, and with a server that dies.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from io import RawIOBase
from pathlib import Path
from typing import IO, Self

from freehold.core.errors import StartError
from freehold.launchers.process.sandbox import Level

DNS = "10.0.2.3"  # slirp4netns' own, which asks the machine's
_PATIENCE_S = 10.0
_INFO_BYTES = 4096
_NS_GET_USERNS = 0xB701  # ioctl_ns(2): the user namespace that a namespace belongs to
# A socket that is bound to tap0 sends what is for 127.0.0.1 there, and slirp4netns would hand it to the machine's own: no answer comes
# back, but datagrams arrive. With this route such packets are for nobody. A process of its own, for one with threads enters no
# user namespace
_NO_LOOPBACK = """
import ctypes, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
for fd in map(int, sys.argv[1:]):
    if fd >= 0 and libc.setns(fd, 0):
        sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")
UNREACHABLE, MAIN, STATIC = 7, 254, 4
route = struct.pack("=BBBBBBBBI", socket.AF_INET, 8, 0, 0, MAIN, STATIC, 0, UNREACHABLE, 0)
body = route + struct.pack("=HH4s", 8, 1, socket.inet_aton("127.0.0.0"))
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
    kernel.send(struct.pack("=IHHII", 16 + len(body), 24, 0x605, 1, 0) + body)
    error = -struct.unpack_from("=i", kernel.recv(4096), 16)[0]
sys.exit(f"route: {os.strerror(error)}" if error else 0)
"""


class Networks:
    """What this machine can give. `apart`: a namespace of its own; `outside`: one with a way out."""

    def __init__(self, bwrap: str | None, level: Level) -> None:
        self._slirp = shutil.which("slirp4netns")
        self.problem = _problem(bwrap, level)
        self.apart = not self.problem
        self.lacks = self.problem or _slirp_problem(bwrap or "", self._slirp)
        self.outside = not self.lacks

    def guard(self) -> str:
        """What is missing, and its fix; or "ok"."""
        if not self.lacks:
            return "ok"
        return (
            f"programs that serve on a port share the machine's network, one instance or sandbox a port: {self.lacks}"
        )

    async def attach(self, pid: int, scratch: Path) -> "Uplink":
        """Give the network namespace of a process a way outside; it is up when this returns."""
        assert self._slirp is not None
        log = scratch / "slirp4netns.log"
        try:
            with log.open("wb") as said:
                process, ready, lifeline = _spawn(self._slirp, pid, said)
        except OSError as error:
            raise StartError(f"slirp4netns could not be started: {error}") from error
        uplink = Uplink(process, lifeline)
        if await _read(ready) != b"1":
            uplink.close()
            raise StartError(f"slirp4netns gave the instance no network: {_last(log.read_text(errors='replace'))}")
        return uplink

    async def shut_loopback(self, pid: int) -> None:
        """Close the machine's loopback to code that is not trusted; before `attach`. `_NO_LOOPBACK` says how it would get there."""
        with _Namespaces(pid) as spaces:
            command = [
                sys.executable,
                "-I",
                "-S",
                "-c",
                _NO_LOOPBACK,
                str(spaces.owner if spaces.foreign else -1),
                str(spaces.net),
            ]
            process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={},
                pass_fds=(spaces.net, spaces.owner),
            )  # fmt: skip
            said = (await process.communicate())[1]
        if process.returncode != 0:
            raise StartError(f"the machine's loopback cannot be closed to it: {_last(said.decode(errors='replace'))}")


class Uplink:
    """One namespace's way outside; it is gone after `close`."""

    def __init__(self, process: "subprocess.Popen[bytes]", exit_fd: int) -> None:
        self._process, self._exit = process, exit_fd
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._over)

    def close(self) -> None:
        if self._exit >= 0:
            os.close(self._exit)
            self._exit = -1

    def _over(self) -> None:
        if self._process.poll() is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self.close()


async def inner_pid(info: int) -> int:
    """The pid, as the machine numbers it, of the process that bubblewrap made; `info` is the end of its --info-fd to read from."""
    return _pid(await _read(info, until=lambda text: text.rstrip().endswith(b"}")))


def resolver(folder: Path) -> tuple[Path, str]:
    """A resolv.conf that names slirp4netns' resolver, and where it has to lie."""
    file = folder / "resolv.conf"
    file.write_text(resolv_conf())
    return file, os.path.realpath("/etc/resolv.conf")


def resolv_conf() -> str:
    """The machine's, with slirp4netns' resolver in place of its own."""
    kept: list[str] = []
    with contextlib.suppress(OSError):
        lines = Path("/etc/resolv.conf").read_text(errors="replace").splitlines()
        kept = [line for line in lines if not line.lstrip().startswith("nameserver")]
    return "\n".join([f"nameserver {DNS}", *kept, ""])


def _problem(bwrap: str | None, level: Level) -> str:
    """Why no instance can have a network of its own; empty when it can."""
    if bwrap is None or level == "none":
        return "it needs bubblewrap, which does not work here (`freehold doctor` says why)"
    command = [bwrap, "--ro-bind", "/", "/", "--unshare-net", "--", "/bin/sh", "-c", "exit 0"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else f"bubblewrap makes no network namespace here ({_last(done.stderr)})"


def _slirp_problem(bwrap: str, slirp: str | None) -> str:
    """Why such a network has no way outside, tried once; empty when it has."""
    if slirp is None:
        return "slirp4netns is not installed: `apt-get install slirp4netns`"
    info, theirs = os.pipe2(os.O_CLOEXEC)
    command = [
        bwrap,
        "--die-with-parent",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--unshare-net",
        "--info-fd",
        str(theirs),
    ]
    with tempfile.TemporaryFile() as said, os.fdopen(info, "rb", buffering=0) as reader:
        inner = subprocess.Popen(
            [*command, "--", "/bin/sh", "-c", "echo up; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, pass_fds=(theirs,),
        )  # fmt: skip
        os.close(theirs)
        try:
            assert inner.stdout is not None
            inner.stdout.readline()  # not before bubblewrap is done: both would make the loopback
            process, ready, lifeline = _spawn(slirp, _pid(_all_of(reader)), said)
            with os.fdopen(ready, "rb", buffering=0) as up:
                works = _all_of(up, b"1")
            os.close(lifeline)
            process.wait(_PATIENCE_S)
        except (OSError, StartError, subprocess.TimeoutExpired) as error:
            return f"slirp4netns does not work here: {error}"
        finally:
            inner.kill()
            inner.communicate()
        said.seek(0)
        return "" if works else f"slirp4netns does not work here: {_last(said.read().decode(errors='replace'))}"


def _all_of(file: RawIOBase, end: bytes = b"}") -> bytes:
    """What comes from a pipe up to `end`, or up to its own end."""
    text = b""
    while (
        not text.rstrip().endswith(end)
        and select.select([file], [], [], _PATIENCE_S)[0]
        and (part := file.read(_INFO_BYTES))
    ):
        text += part
    return text


def _spawn(slirp: str, pid: int, said: IO[bytes]) -> "tuple[subprocess.Popen[bytes], int, int]":
    """Run it for the network of a process: itself, a pipe that says when it is up, and one whose closing ends it."""
    fds = list[int]()
    try:
        with _Namespaces(pid) as spaces:
            fds += (ready := os.pipe2(os.O_CLOEXEC))
            fds += (lifeline := os.pipe2(os.O_CLOEXEC))
            users = [f"--userns-path=/proc/self/fd/{spaces.owner}"] if spaces.foreign else []
            command = [
                slirp, "--configure", "--mtu=65520", "--disable-host-loopback", f"--ready-fd={ready[1]}", f"--exit-fd={lifeline[0]}",
                *users, "--netns-type=path", f"/proc/self/fd/{spaces.net}", "tap0",
            ]  # fmt: skip
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                pass_fds=(spaces.net, spaces.owner, ready[1], lifeline[0]),
            )  # fmt: skip
        fds = [fd for fd in fds if fd not in (ready[0], lifeline[1])]
        return process, ready[0], lifeline[1]
    finally:
        for fd in fds:
            os.close(fd)


class _Namespaces:
    """Descriptors of a process's network and of the user namespace which that belongs to; closed at the end."""

    def __init__(self, pid: int) -> None:
        self.net = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.owner = fcntl.ioctl(self.net, _NS_GET_USERNS)  # bubblewrap may have gone into another since
        except BaseException:
            os.close(self.net)
            raise
        self.foreign = os.fstat(self.owner).st_ino != Path("/proc/self/ns/user").stat().st_ino

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.net)
        os.close(self.owner)


def _pid(info: bytes) -> int:
    try:
        return int(json.loads(info)["child-pid"])
    except (ValueError, KeyError):
        raise StartError(
            "bubblewrap ended before it made a network namespace; its output is in the instance's log"
        ) from None


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


async def _read(fd: int, *, until: Callable[[bytes], bool] = bool) -> bytes:
    """What another process writes into a pipe within some seconds: all that is needed, or all that there was."""
    loop, come, text = asyncio.get_running_loop(), asyncio.Event(), b""
    loop.add_reader(fd, come.set)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while not until(text):
                await come.wait()
                come.clear()
                part = os.read(fd, _INFO_BYTES)
                if not part:
                    break
                text += part
    except TimeoutError:
        return text
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return text
