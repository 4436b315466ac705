"""Values that programs have pickled, as commands show them: unpickled here, on the user's own machine, or said why they cannot be."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freehold.core.errors import DeserializationError
from freehold.modal import alias

_LENGTH = 80


@dataclass(frozen=True)
class Unreadable:
    """A value that cannot be unpickled here."""

    why: str

    def __str__(self) -> str:
        return f"<cannot be read here: {self.why}>"

    __repr__ = __str__


def shown(read: Callable[[], Any]) -> Any:
    """What `read` gives; modules of the working directory are found, and `modal`, as when a program runs there."""
    alias.install()
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        return read()
    except DeserializationError as error:
        return Unreadable(str(error).partition(" cannot be read: ")[2] or str(error))


def as_text(value: Any, *, use_repr: bool = False) -> str:
    """One line of it."""
    text = (repr(value) if use_repr else str(value)).replace("\n", "\\n")
    return text if len(text) <= _LENGTH or isinstance(value, Unreadable) else f"{text[:_LENGTH]}…"


def plain(value: Any) -> Any:
    """The value where JSON can say it, else as Python writes it."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return repr(value)
