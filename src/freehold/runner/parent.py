"""The warm parent: loads the user's code once, then forks an instance in milliseconds whenever it is told to.

    python -P -m freehold.runner.parent CONTROL_FD

It has one thread, runs no user code after the load, and kills whatever an instance leaves behind.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

from freehold.protocol import control
from freehold.protocol.control import Boot, Exited, Fork, Forked, Gone, Here, Kill, Loaded, LoadFailed
from freehold.runner import instance, output, process, usher
from freehold.runner import threads as numeric
from freehold.runner.load import LoadError, UserCode, load
from freehold.sdk.serialization import failure

_FAILURE_TEXT = 20_000


class WarmParent:
    """What a parent knows of its instances."""

    def __init__(self, sock: socket.socket, user: UserCode, out: output.Output) -> None:
        self._socket, self._user, self._output = sock, user, out
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._pidfds: dict[int, tuple[str, int]] = {}  # pidfd: instance, pid
        self._pids: dict[str, int] = {}
        self._own: frozenset[int] = frozenset(process.children())  # what the user's module itself started

    def serve(self) -> None:
        """Fork and reap until the launcher hangs up."""
        while True:
            for fd, _ in self._poll.poll():
                if fd in self._pidfds:
                    self._reap(fd)
                elif not self._command():
                    return

    def end(self) -> None:
        """Kill every instance and everything else below."""
        self._own = frozenset[int]()
        self._pids.clear()
        self._kill_orphans()

    def _command(self) -> bool:
        packet = control.receive_to_parent(self._socket)
        if packet is None:
            return False
        message, fds = packet
        if isinstance(message, Fork):
            self._fork(message, fds)
        elif isinstance(message, Kill):
            self._kill(message.instance)
        for fd in fds:
            os.close(fd)
        return True

    def _fork(self, request: Fork, fds: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(request, fds)
        pidfd = os.pidfd_open(pid)
        self._pidfds[pidfd] = request.instance, pid
        self._pids[request.instance] = pid
        self._poll.register(pidfd, select.POLLIN)
        control.send(self._socket, Forked(request.instance, pid), (pidfd,))

    def _become(self, request: Fork, fds: list[int]) -> NoReturn:
        """In the child: leave everything of the parent behind."""
        forked = time.time()
        process.die_with_parent()
        for fd in self._pidfds:
            os.close(fd)
        self._socket.close()
        run_as_instance(request, fds, self._user, self._output, forked)

    def _kill(self, name: str) -> None:
        pid = self._pids.get(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _reap(self, pidfd: int) -> None:
        name, pid = self._pidfds.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        del self._pids[name]
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        control.send(self._socket, Exited(name, code if code >= 0 else None, -code if code < 0 else None))
        self._kill_orphans()
        control.send(self._socket, Gone(name))

    def _kill_orphans(self) -> None:
        """What an ended instance leaves comes to us; a tree comes level by level, so go on until nothing comes."""
        while orphans := set(process.children()) - self._own - set(self._pids.values()):
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in orphans:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def run_as_instance(request: Fork, fds: list[int], user: UserCode, out: output.Output, forked: float) -> NoReturn:
    """Take the instance's own output, cgroups and environment, and live its life; never returns."""
    code = 1
    try:
        raw, *groups = fds
        join(groups)
        os.dup2(raw, 1)
        os.dup2(raw, 2)
        os.close(raw)
        process.adopt_orphans()
        code = instance.run(request, user, out, forked=forked)
    except BaseException as error:  # noqa: BLE001 (the edge of the process)
        out.line("stderr", f"the instance failed: {type(error).__name__}: {error}")
    finally:
        output.flush()
        os._exit(code)


def join(groups: list[int]) -> None:
    """Move this process into cgroups, given as their open cgroup.procs."""
    for fd in groups:
        with contextlib.suppress(OSError):
            os.write(fd, b"0")
        os.close(fd)


def main() -> int:
    """Load, then serve. Exit code 0 when the launcher hung up, 1 when the user's code could not be loaded."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(sock.fileno(), False)
    process.die_with_parent()
    process.line_buffer_stdout()
    control.send(sock, Here())
    packet = control.receive_to_parent(sock)
    if packet is None or not isinstance(packet[0], Boot):
        return 1
    boot, (door, *groups) = packet[0], packet[1]
    join(groups)
    usher.start(door)
    process.adopt_orphans()
    process.set_name(f"fh:{boot.spec.name}")
    out = output.Output()
    output.install(out)
    try:
        user = load(boot)
    except LoadError as error:
        return _say_failed(sock, error, out)
    threads = _threads()
    if threads and boot.forks:
        out.event("warning", _warning(boot.spec.name, threads), function=boot.spec.name, threads=threads)
    output.flush()
    if threads or not boot.forks:
        return _be_the_instance(sock, user, out, threads or ["(known from before)"])
    numeric.prepare()
    gc.collect()
    gc.freeze()
    _silence()
    control.send(sock, Loaded(user.phases))
    parent = WarmParent(sock, user, out)
    parent.serve()
    parent.end()
    return 0


def _be_the_instance(sock: socket.socket, user: UserCode, out: output.Output, threads: list[str]) -> int:
    control.send(sock, Loaded(user.phases, threads))
    packet = control.receive_to_parent(sock)
    if packet is None or not isinstance(packet[0], Fork):
        return 0
    request, fds = packet[0], packet[1]
    pidfd = os.pidfd_open(os.getpid())
    control.send(sock, Forked(request.instance, os.getpid()), (pidfd,))
    os.close(pidfd)
    run_as_instance(request, fds, user, out, time.time())


def _threads() -> list[str]:
    """Names of the threads that the user's code has started; those that Python does not know are counted."""
    if process.thread_count() == 1:
        return []
    known = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    unknown = process.thread_count() - 1 - len(known)
    return known + ([f"{unknown} of native code"] if unknown > 0 else [])


def _warning(name: str, threads: list[str]) -> str:
    return (
        f"{name} starts threads while it is loaded ({', '.join(threads)}), so it cannot be forked from a warm parent and every instance "
        "loads it anew; start threads in an @enter hook instead"
    )


def _say_failed(sock: socket.socket, error: LoadError, out: output.Output) -> int:
    told = failure(error.cause)
    out.line("stderr", told.traceback.rstrip()[-_FAILURE_TEXT:])
    control.send(sock, LoadFailed(told))
    return 1


def _silence() -> None:
    """Let go of the first instance's output; the parent has nothing more to say."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main())
