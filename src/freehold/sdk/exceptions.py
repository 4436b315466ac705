"""Exceptions to pickles: each with its cause, its context and, of a group, its members.

An exception goes by its own way of being pickled; where it would not come back so, as when its `__init__` takes other arguments than
it keeps, by its parts; and where neither goes, a cause or a member is a RemoteError with its type and message.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any, cast

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

from freehold.core.errors import RemoteError

_Reduced = tuple[Any, Any, Any]  # a callable that makes the exception, its arguments, a state or None


def dumps(error: BaseException) -> bytes:
    """Pickle `error`; empty when it would not come back itself."""
    ways = _Ways()
    if ways.of(error) is None:
        return b""
    try:
        return ways.dump(error, chained=True)
    except (pickle.PicklingError, RecursionError):  # a chain too long to follow
        return ways.dump(error, chained=False)


class _Ways:
    """How to make each exception again, without its cause and context; found out once each."""

    def __init__(self) -> None:
        self._known: dict[int, _Reduced | None] = {}

    def of(self, error: BaseException) -> _Reduced | None:
        """None: it would not come back."""
        if id(error) not in self._known:
            self._known[id(error)] = None  # of one that holds itself, while it is tried
            self._known[id(error)] = self._find(error)
        return self._known[id(error)]

    def dump(self, value: object, *, chained: bool) -> bytes:
        file = io.BytesIO()
        _Pickler(file, self, chained=chained).dump(value)  # pyright: ignore[reportUnknownMemberType]
        return file.getvalue()

    def _find(self, error: BaseException) -> _Reduced | None:
        for reduce in (_by_itself, _by_parts):
            try:
                reduced = reduce(error)
                make, args, state = pickle.loads(self.dump(reduced, chained=False))  # noqa: S301 (our own bytes)
                _restore(make(*args), (state, None, None, False))  # an __init__ with other arguments fails only here
            except Exception:  # noqa: BLE001, S112 (any failure means: the next way, in the end as text)
                continue
            return reduced
        return None


class _Pickler(cloudpickle.Pickler):
    def __init__(self, file: io.BytesIO, ways: _Ways, *, chained: bool) -> None:
        super().__init__(file, protocol=5)  # pyright: ignore[reportUnknownMemberType]
        self._ways, self._chained = ways, chained

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, BaseException):
            return super().reducer_override(obj)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        make, args, state = self._ways.of(obj) or _stand_in(obj)
        chain = (obj.__cause__, obj.__context__, obj.__suppress_context__) if self._chained else (None, None, False)
        return make, args, (state, *chain), None, None, _restore


def _by_itself(error: BaseException) -> _Reduced:
    reduced = cast("tuple[Any, ...]", error.__reduce_ex__(5))
    return reduced[0], reduced[1], reduced[2] if len(reduced) > 2 else None


def _by_parts(error: BaseException) -> _Reduced:
    return _put_together, (type(error), error.args), dict(vars(error))


def _stand_in(error: BaseException) -> _Reduced:
    return RemoteError, (_line(error),), None


def _line(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        return f"{name}: {error}"
    except Exception:  # noqa: BLE001 (a user's __str__ may do anything)
        return name


# ---- found by name where it is unpickled


def _put_together(kind: Callable[..., BaseException], args: tuple[Any, ...]) -> BaseException:
    """An exception whose `__init__` is not called."""
    error = cast("type[BaseException]", kind).__new__(cast("type[BaseException]", kind), *args)
    error.args = args
    return error


def _restore(error: BaseException, state: tuple[Any, BaseException | None, BaseException | None, bool]) -> None:
    own, error.__cause__, error.__context__, error.__suppress_context__ = state
    if own is not None:
        error.__setstate__(own)
