"""Tracebacks as a user wants to read them: without Freehold's own frames, what they called, and the import machinery."""

import os
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
_STANDARD = str(Path(sysconfig.get_paths()["stdlib"]).resolve()) + os.sep
_MACHINERY = ("<frozen importlib", "<frozen runpy", "<frozen zipimport")
REMOTE_NOTE = "\nRemote traceback (most recent call last):\n"


def user_traceback(error: BaseException) -> str:
    """Format `error` with the user's frames only; causes that never left our own code are left out."""
    form = traceback.TracebackException.from_exception(error, compact=True)
    _strip(form, set())
    return "".join(form.format()).rstrip("\n") + "\n"


def user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """Frames of the user's and of libraries they call: not ours, nor those of the standard library that we call."""
    return _users(traceback.extract_tb(trace))


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


def _strip(form: traceback.TracebackException, seen: set[int]) -> None:
    if id(form) in seen:
        return
    seen.add(id(form))
    form.stack = traceback.StackSummary.from_list(_users(form.stack))
    for inner in (form.__cause__, form.__context__, *(form.exceptions or ())):
        if inner is not None:
            _strip(inner, seen)
    if form.__cause__ is not None and not form.__cause__.stack:
        form.__cause__ = None
    if form.__context__ is not None and not form.__context__.stack:
        form.__context__ = None


def _ours(filename: str) -> bool:
    runner = f"{os.sep}freehold{os.sep}runner{os.sep}" in filename
    return runner or filename.startswith((_PACKAGE, *_MACHINERY))


def _standard(filename: str) -> bool:
    return filename.startswith(_STANDARD) and "site-packages" not in filename
