"""The usher stands beside a warm parent, without any of the user's code, and lets its owner's commands in: for each instance that is entered it
starts a warden, in the same surroundings. It is no child of the parent's, so that the user's code never waits for it.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

_MAX_FDS = 8
_EACH = "0"  # processes are counted by what holds the instance
_WARDEN = Path(__file__).resolve().parents[1] / "launchers/process/inside/warden.py"


def start(fd: int, close: tuple[socket.socket, ...]) -> None:
    """Fork it, over its socket's descriptor; `close` is what it is not to have."""
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            _become(socket.socket(fileno=fd), close)
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(fd)


def _become(sock: socket.socket, close: tuple[socket.socket, ...]) -> NoReturn:
    try:
        for other in close:
            other.close()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
        while _serve(sock):
            pass
    finally:
        os._exit(0)


def _serve(sock: socket.socket) -> bool:
    """Start one warden; False when the launcher has hung up."""
    data, fds, _, _ = socket.recv_fds(sock, 1, _MAX_FDS)
    if data and os.fork() == 0:
        sock.close()
        _exec(*fds)
    for fd in fds:
        os.close(fd)
    return bool(data)


def _exec(line: int, *groups: int) -> NoReturn:
    try:
        for group in groups:
            os.write(group, b"0")
            os.close(group)
        os.set_inheritable(line, True)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-B", str(_WARDEN), str(line), _EACH])  # noqa: S606 (ours)
    finally:
        os._exit(1)
