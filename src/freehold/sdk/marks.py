"""The marks that decorators leave on a user's functions and classes, and that `App` and the runner read."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from freehold.core.specs import Batching, Concurrency, Web

_ATTRIBUTE = "__freehold__"
Hook = Literal["enter", "snap", "exit"]


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What decorators said of one function or class."""

    method: bool = False
    is_generator: bool | None = None  # None: as the function itself says
    hook: Hook | None = None
    web: Web | None = None
    batching: Batching | None = None
    concurrency: Concurrency | None = None
    cluster_size: int = 1


def marks(target: Any) -> Marks:
    """The marks of a function or class; of a class only its own, not its bases'."""
    own: dict[str, Any] = getattr(target, "__dict__", {})
    found = own.get(_ATTRIBUTE)
    return found if isinstance(found, Marks) else Marks()


def mark(target: Any, **changes: Any) -> None:
    setattr(target, _ATTRIBUTE, replace(marks(target), **changes))


def yields(function: Callable[..., Any]) -> bool:
    """Whether calling `function` gives a generator."""
    said = marks(function).is_generator
    return (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)) if said is None else said
