"""The few system calls that an instance's life needs and Python lacks."""

import ctypes
import os
import signal
import threading
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_LINE_BUFFERED = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Be killed when the process (its thread) that made us ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of what our descendants leave behind."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def set_name(name: str) -> None:
    """The name that `ps` and `top` show."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def line_buffer_stdout() -> None:
    """Make C code's standard output whole lines at once, though it goes to a file: nothing waits in a buffer when a kill comes."""
    try:
        stdout = ctypes.c_void_p.in_dll(_libc, "stdout")
        _libc.setvbuf(stdout, None, _LINE_BUFFERED, 0)
    except ValueError:  # not this libc
        return


def raise_in_thread(thread_id: int, error: type[BaseException]) -> None:
    """Raise `error` in another thread at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))


def children() -> list[int]:
    """Our own children, zombies included."""
    me = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/{me}/task/{threading.get_native_id()}/children").read_text().split()]
    except OSError:
        return [pid for pid in _all_pids() if _parent_of(pid) == me]


def thread_count() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def _all_pids() -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return -1
