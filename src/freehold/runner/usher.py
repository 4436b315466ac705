"""The usher stands beside a warm parent, without any of the user's code, and lets its owner's commands in: for each instance that is entered it
starts a warden, in the same surroundings. Run as a script, standard library only: what it shared with the parent would not stay shared.

    python -I -S usher.py SOCKET
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


def start(door: int) -> None:
    """Start it over its end of a socket, and leave it to whoever adopts orphans here: the user's code shall not wait for it as for a child."""
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            _exec(__file__, door)
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(door)


def _exec(script: str, door: int, *more: str) -> NoReturn:
    try:
        os.set_inheritable(door, True)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-B", script, str(door), *more])  # noqa: S606 (ours)
    finally:
        os._exit(1)


def _serve(sock: socket.socket) -> bool:
    """Start one warden; False when the launcher has hung up."""
    data, fds, _, _ = socket.recv_fds(sock, 1, _MAX_FDS)
    if data and os.fork() == 0:
        door, *groups = fds
        for group in groups:
            os.write(group, b"0")
            os.close(group)
        _exec(str(_WARDEN), door, _EACH)
    for fd in fds:
        os.close(fd)
    return bool(data)


def main() -> None:
    """Serve until the launcher hangs up."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(sock.fileno(), False)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    while _serve(sock):
        pass


if __name__ == "__main__":
    main()
