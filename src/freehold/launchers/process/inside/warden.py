"""The first process of a sandbox: runs commands for the server, carries their terminals and connections, reaps. Standard library only.

    python -I -S warden.py SOCKET PROCESSES

With PROCESSES 0 it serves those who enter an instance: it is not the first process there, and ends what it ran when the server hangs up.
It stands on the untrusted side: the server believes nothing that it says beyond this sandbox, and its end is the end of every
process in the sandbox. Descriptors travel inwards only.
"""

import contextlib
import ctypes
import errno
import fcntl
import importlib
import json
import os
import pty
import resource
import select
import signal
import socket
import struct
import sys
import termios
from typing import Any

_PACKET_BYTES, _MAX_FDS, _CHUNK = 60_000, 4, 65_536
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36
_NOT_FOUND, _CANNOT_RUN = 127, 126
_RELAY = ("127.0.0.1", 3128)
_PROXY = "/run/freehold/proxy.sock"
_CONNECTIONS = 512


class Flow:
    """Bytes from one descriptor to another, one piece at a time: a target that does not take them holds the source up."""

    def __init__(self, source: int, target: int, *, last: bytes = b"") -> None:
        self.source, self.target = source, target
        self.over = False
        self._rest, self._last, self._ending = b"", last, False

    def wants(self) -> tuple[int, int]:
        return (self.target, select.POLLOUT) if self._rest else (self.source, select.POLLIN)

    def move(self) -> None:
        try:
            if not self._rest:
                self._rest = os.read(self.source, _CHUNK)
                if not self._rest:
                    self._rest, self._ending = self._last, True
            if self._rest:
                self._rest = self._rest[os.write(self.target, self._rest) :]
            self.over = self._ending and not self._rest
        except BlockingIOError:
            return
        except OSError:  # a terminal without processes, a reader that left
            self.over = True


class Carried:
    """Flows that share descriptors, which are closed when all of them are over."""

    def __init__(self, *flows: Flow, ends: tuple[int, ...] = (), until: int = 0) -> None:
        self.flows, self._ends, self._until = list(flows), ends, until
        self._fds = {fd for f in flows for fd in (f.source, f.target)}
        for fd in self._fds:
            os.set_blocking(fd, False)

    def over(self) -> bool:
        """Take out what is over; a half that ended is told to the other side."""
        for flow in [f for f in self.flows if f.over]:
            self.flows.remove(flow)
            if flow.target in self._ends:
                _shut(flow.target)
        return len(self.flows) <= self._until

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


class Warden:
    """Owns the socket to the server and everything that it was told to run."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._running: dict[int, int] = {}  # pid: the server's id
        self._terminals: dict[int, int] = {}  # id: the terminal's master
        self._carried: list[Carried] = []
        self._listener: socket.socket | None = None
        self._woken, waker = socket.socketpair()
        self._woken.setblocking(False)
        waker.setblocking(False)
        self._waker = waker
        signal.signal(signal.SIGCHLD, _woken)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        self.say(ready=True)
        while True:
            ready = self._wait()
            if self._woken.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
                self._reap()
            if self._listener is not None and self._listener.fileno() in ready:
                self._accept(self._listener)
            for carried in self._carried:
                for flow in carried.flows:
                    if flow.wants()[0] in ready:
                        flow.move()
            self._drop()
            if self._sock.fileno() in ready and not self._receive():
                return

    def say(self, **message: Any) -> None:
        self._sock.send(json.dumps(message).encode())

    def _wait(self) -> set[int]:
        wanted = {self._sock.fileno(): select.POLLIN, self._woken.fileno(): select.POLLIN}
        if self._listener is not None and len(self._carried) < _CONNECTIONS:
            wanted[self._listener.fileno()] = select.POLLIN
        for carried in self._carried:
            for flow in carried.flows:
                fd, event = flow.wants()
                wanted[fd] = wanted.get(fd, 0) | event
        poll = select.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        return {fd for fd, _ in poll.poll()}

    def _receive(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._sock, _PACKET_BYTES, _MAX_FDS)
        if not data:
            return False
        for fd in fds:
            os.set_inheritable(fd, False)
        message = json.loads(data)
        match message["do"]:
            case "run":
                self._run(message["id"], _read_all(fds[0]), fds[1:])
            case "signal":
                self._signal(message["id"], message["number"])
            case "size":
                if message["id"] in self._terminals:
                    _resize(self._terminals[message["id"]], message["rows"], message["columns"])
            case "dial":
                self._dial(message["port"], fds[0])
            case _:  # the relay
                self._listen()
        return True

    # ---- commands

    def _run(self, number: int, body: bytes, fds: list[int]) -> None:
        wanted: dict[str, Any] = json.loads(body)
        master = slave = -1
        try:
            if wanted["terminal"]:
                master, slave = pty.openpty()
                _resize(master, *wanted["terminal"])
            pid = os.fork()
        except OSError as error:
            os.write(fds[2], f"cannot start {wanted['argv'][:1]}: {error.strerror}\n".encode())
            for fd in (*fds, *(fd for fd in (master, slave) if fd >= 0)):
                os.close(fd)
            self.say(id=number, code=_CANNOT_RUN)
            return
        if pid == 0:
            self._become(wanted, fds, slave)
        self._running[pid] = number
        self.say(id=number, pid=pid)
        if slave < 0:
            for fd in fds:
                os.close(fd)
            return
        os.close(slave)
        os.close(fds[2])
        self._terminals[number] = master
        inwards, outwards = Flow(fds[0], master, last=b"\x04"), Flow(master, fds[1])
        self._carried.append(Carried(inwards, outwards))

    def _become(self, wanted: dict[str, Any], fds: list[int], slave: int) -> None:
        """In the child: never returns."""
        code = _CANNOT_RUN
        try:
            signal.set_wakeup_fd(-1)
            for name in (signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(name, signal.SIG_DFL)
            os.setsid()
            if slave >= 0:
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for target, fd in enumerate([slave] * 3 if slave >= 0 else fds):
                os.dup2(fd, target)
            if wanted.get("tool"):
                self._sock.close()
                code = _tool(wanted["tool"], wanted["arguments"])
            else:
                code = _exec(wanted)
        except BaseException as error:  # noqa: BLE001 (the edge of the process)
            with contextlib.suppress(OSError):
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    def _signal(self, number: int, signum: int) -> None:
        for pid in [p for p, n in self._running.items() if n == number]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signum)  # it leads a session of its own

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._running.pop(pid, None)
            if number is not None:
                code = os.waitstatus_to_exitcode(status)
                self.say(id=number, code=code if code >= 0 else 128 - code)

    # ---- connections

    def _dial(self, port: int, fd: int) -> None:
        """Join a connection of the server's with a port in here."""
        inner = socket.socket()
        inner.settimeout(5)
        try:
            inner.connect(("127.0.0.1", port))
        except OSError:
            inner.close()
            os.close(fd)
            return
        self._join(fd, inner.detach())

    def _listen(self) -> None:
        """Be the proxy that HTTP_PROXY names: every connection goes to the server's own, which decides."""
        self._listener = socket.create_server(_RELAY, backlog=128)
        self._listener.setblocking(False)

    def _accept(self, listener: socket.socket) -> None:
        try:
            inner, _ = listener.accept()
        except OSError:
            return
        outer = socket.socket(socket.AF_UNIX)
        try:
            outer.connect(_PROXY)
        except OSError:
            inner.close()
            outer.close()
            return
        self._join(outer.detach(), inner.detach())

    def _join(self, one: int, other: int) -> None:
        self._carried.append(Carried(Flow(one, other), Flow(other, one), ends=(one, other)))

    def _drop(self) -> None:
        kept: list[Carried] = []
        for carried in self._carried:
            if carried.over():
                self._terminals = {n: fd for n, fd in self._terminals.items() if fd not in carried._fds}
                carried.close()
            else:
                kept.append(carried)
        self._carried = kept


def _woken(_number: int, _frame: object) -> None:
    """The wakeup descriptor tells."""


def _exec(wanted: dict[str, Any]) -> int:
    """Become the command; the exit code of one that cannot be run, as a shell gives it."""
    argv, cwd = wanted["argv"], wanted["cwd"]
    try:
        if wanted["made"]:
            os.makedirs(cwd, exist_ok=True)  # noqa: PTH103 (as below)
        os.chdir(cwd)
    except OSError as error:
        os.write(2, f"cannot enter the working directory {cwd!r}: {error.strerror}\n".encode())
        return _CANNOT_RUN
    try:
        os.execvpe(argv[0], argv, wanted["env"])  # noqa: S606 (what this process is for)
    except OSError as error:
        os.write(2, f"cannot run {argv[0]!r}: {error.strerror}\n".encode())
        return _NOT_FOUND if error.errno == errno.ENOENT else _CANNOT_RUN


def _tool(name: str, arguments: dict[str, Any]) -> int:
    sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 (before pathlib is needed)
    tools: Any = importlib.import_module("files")  # beside this script
    return tools.run(name, arguments)


def _shut(fd: int) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as other:
        other.shutdown(socket.SHUT_WR)


def _resize(fd: int, rows: int, columns: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _end_children() -> None:
    """Kill every descendant: what is orphaned comes to us, level by level."""
    while children := _children():
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    me, found = os.getpid(), list[int]()
    for name in os.listdir("/proc"):  # noqa: PTH208 (as above)
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 (as above)
                if int(file.read().rpartition(b")")[2].split()[1]) == me:
                    found.append(int(name))
    return found


def _read_all(fd: int) -> bytes:
    try:
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def main() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # what it runs shall not trace it
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 (as above)
        file.write("1000")  # the first to go when memory runs out
    most = int(sys.argv[2])
    if most:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    else:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sock = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(sock.fileno(), False)
    with contextlib.suppress(ConnectionError):
        Warden(sock).serve()
    if not most:
        _end_children()


if __name__ == "__main__":
    main()
