"""The few system calls that an instance's life needs and Python lacks."""

import ctypes
import os
import signal
import threading

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
        with open(f"/proc/{me}/task/{threading.get_native_id()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return [pid for pid in _all_pids() if _parent_of(pid) == me]


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return -1
