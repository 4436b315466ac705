"""Joining a command in a sandbox with the terminal of this process."""

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Generator
from typing import Any

from freehold.core.errors import Error
from freehold.sdk.container_process import ContainerProcess

_PIECE_BYTES = 65_536
_LOOK_S = 0.1


def attach(process: ContainerProcess[Any], *, terminal: bool = True) -> int:
    """Carry what is typed there and what is written back, until the command ends; its exit code. Blocks.

    Without a `terminal` of the command's own, this one stays as it is: it echoes, and Ctrl-C is for this process.
    """
    over = threading.Event()
    typing = threading.Thread(target=_type, args=(process, over), daemon=True)
    copies = [
        threading.Thread(target=_copy, args=(process, s, fd), daemon=True)
        for s, fd in ((process.stdout, 1), (process.stderr, 2))
    ]
    with _raw() if terminal else contextlib.nullcontext(), _sized(process) if terminal else contextlib.nullcontext():
        for thread in (typing, *copies):
            thread.start()
        code = process.wait()
        for thread in copies:
            thread.join()
        over.set()
        typing.join()
    return code


def _copy(process: ContainerProcess[Any], stream: Any, fd: int) -> None:
    for piece in stream:
        data = piece.encode() if isinstance(piece, str) else piece
        try:
            while data:
                data = data[os.write(fd, data) :]
        except OSError:  # who reads it has had enough, as `head` does
            with contextlib.suppress(Error):
                process.signal(signal.SIGPIPE)
            return


def _type(process: ContainerProcess[Any], over: threading.Event) -> None:
    fd = sys.stdin.fileno()
    while not over.is_set():
        if not select.select([fd], [], [], _LOOK_S)[0]:
            continue
        data = os.read(fd, _PIECE_BYTES)
        with contextlib.suppress(Error, ValueError):  # it ended meanwhile
            process.stdin.write(data) if data else process.stdin.write_eof()
            process.stdin.drain()
        if not data:
            return


@contextlib.contextmanager
def _raw() -> Generator[None, None, None]:
    """Keys go through as they are typed, where there is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _sized(process: ContainerProcess[Any]) -> Generator[None, None, None]:
    if not sys.stdout.isatty() or threading.current_thread() is not threading.main_thread():
        yield
        return

    def tell(*_: object) -> None:
        columns, rows = shutil.get_terminal_size()
        with contextlib.suppress(Error):
            process.resize(rows, columns)

    before = signal.signal(signal.SIGWINCH, tell)
    tell()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
