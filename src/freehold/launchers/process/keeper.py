"""Ends a whole process tree when its server dies, where no pid namespace does it. Run as a script, standard library only.

    python -I -S keeper.py LIFELINE COMMAND...

LIFELINE is the read end of a pipe whose write end only the server holds.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> int:
    lifeline, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.close(lifeline)
        os.execvp(command[0], command)  # noqa: S606 (what the launcher planned)
    for fd in _open_fds():
        if fd not in (0, 1, 2, lifeline):
            with contextlib.suppress(OSError):
                os.close(fd)
    code = _watch(lifeline, child)
    end_children()
    return code


def _watch(lifeline: int, child: int) -> int:
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    ready = [fd for fd, _ in poll.poll()]
    if pidfd not in ready:
        return 1
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def end_children() -> None:
    """Kill every descendant: what is orphaned comes to us, as we are its subreaper."""
    while children := _children():
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for _ in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)


def _children() -> list[int]:
    me, found = os.getpid(), list[int]()
    try:
        return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]
    except OSError:
        pass
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == me:
                    found.append(int(folder.name))
    return found


def _open_fds() -> list[int]:
    return [int(p.name) for p in Path("/proc/self/fd").iterdir()]


if __name__ == "__main__":
    sys.exit(main())
