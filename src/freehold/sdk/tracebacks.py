"""Tracebacks as a user wants to read them: without Freehold's own frames, what they called, and the import machinery."""

import os
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from freehold.sdk.context import is_local

# as it is imported, which in an instance is by a link, and as it lies on the disk
_PACKAGE = tuple({str(file.parent.parent) + os.sep for file in (Path(__file__), Path(__file__).resolve())})
_STANDARD = str(Path(sysconfig.get_paths()["stdlib"]).resolve()) + os.sep
_PICKLERS = f"{os.sep}site-packages{os.sep}cloudpickle{os.sep}"
_MACHINERY = ("<frozen importlib", "<frozen runpy", "<frozen zipimport")
REMOTE_NOTE = "\nRemote traceback (most recent call last):\n"


def user_traceback(error: BaseException) -> str:
    """Format `error` with the user's frames only; causes that never left our own code are left out."""
    form = traceback.TracebackException.from_exception(error, compact=True)
    _strip(form)
    return "".join(form.format()).rstrip("\n") + "\n"


def user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """Frames of the user's and of libraries they call: not ours, nor those of the standard library and of cloudpickle that we call."""
    return _users(traceback.extract_tb(trace))


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's that led here, or at ours when there is none: the command line runs it.

    Where a program is loaded again, in instances, nothing is said again.
    """
    if not is_local():
        return
    frame, level = sys._getframe(1), 2
    while frame is not None and _ours(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
        if frame is not None and frame.f_globals.get("__name__", "").startswith("freehold.cli."):
            frame, level = None, 2
    warnings.warn(message, category, stacklevel=level)


def is_ours(filename: str) -> bool:
    """Whether a file is part of Freehold."""
    return filename.startswith(_PACKAGE)


def _users(frames: Iterable[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    kept: list[traceback.FrameSummary] = []
    inside = False  # our code was entered, and has not called the user's
    for frame in frames:
        if _ours(frame.filename):
            inside = True
        elif not (inside and _standard(frame.filename)):
            inside = False
            kept.append(frame)
    return kept


def _strip(form: traceback.TracebackException) -> None:
    seen: dict[int, traceback.TracebackException] = {}
    left = [form]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        one.stack = traceback.StackSummary.from_list(_users(one.stack))
        left += [inner for inner in (one.__cause__, one.__context__, *(one.exceptions or ())) if inner is not None]
    for one in seen.values():
        if one.__cause__ is not None and not one.__cause__.stack:
            one.__cause__ = None
        if one.__context__ is not None and not one.__context__.stack:
            one.__context__ = None


def _ours(filename: str) -> bool:
    return filename.startswith((*_PACKAGE, *_MACHINERY))


def _standard(filename: str) -> bool:
    return _PICKLERS in filename or (filename.startswith(_STANDARD) and "site-packages" not in filename)
