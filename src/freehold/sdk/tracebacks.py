"""Tracebacks as a user wants to read them: without Freehold's own frames and the import machinery's."""

import os
import traceback
from pathlib import Path
from types import TracebackType

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
_MACHINERY = ("<frozen importlib", "<frozen runpy", "<frozen zipimport")
REMOTE_NOTE = "\nRemote traceback (most recent call last):\n"


def user_traceback(error: BaseException) -> str:
    """Format `error` with the user's frames only; all frames when there are no others."""
    form = traceback.TracebackException.from_exception(error, compact=True)
    _strip(form, set())
    return "".join(form.format()).rstrip("\n") + "\n"


def user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    return [f for f in traceback.extract_tb(trace) if not _ours(f.filename)]


def _strip(form: traceback.TracebackException, seen: set[int]) -> None:
    if id(form) in seen:
        return
    seen.add(id(form))
    kept = [f for f in form.stack if not _ours(f.filename)]
    form.stack = traceback.StackSummary.from_list(kept)
    for inner in (form.__cause__, form.__context__, *(form.exceptions or ())):
        if inner is not None:
            _strip(inner, seen)


def _ours(filename: str) -> bool:
    return (
        filename.startswith(_MACHINERY)
        or filename.startswith(_PACKAGE)
        or f"{os.sep}freehold{os.sep}runner{os.sep}" in filename
    )
