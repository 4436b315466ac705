"""The marks that decorators leave on a user's functions and classes, and that `App` and the runner read."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from freehold.core.errors import InvalidError
from freehold.core.specs import Batching, Concurrency, Web

_ATTRIBUTE = "__freehold__"
MAX_INPUTS = 1000  # at once in one instance
_MAX_BATCH, _MAX_WAIT_MS = 1000, 600_000
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


def concurrency_of(max_inputs: int, target_inputs: int | None) -> Concurrency:
    _between("max_inputs", max_inputs, 1, MAX_INPUTS)
    if target_inputs is not None:
        _between("target_inputs", target_inputs, 1, max_inputs)
    return Concurrency(max_inputs=max_inputs, target_inputs=target_inputs)


def batching_of(max_batch_size: int, wait_ms: int) -> Batching:
    _between("max_batch_size", max_batch_size, 1, _MAX_BATCH)
    _between("wait_ms", wait_ms, 0, _MAX_WAIT_MS)
    return Batching(max_batch_size=max_batch_size, wait_ms=wait_ms)


def _between(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f"{name}={value!r} is not a whole number between {low} and {high}"
        raise InvalidError(msg)
