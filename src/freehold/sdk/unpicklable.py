"""Says which part of a value cannot be pickled, so that its owner finds it."""

from collections.abc import Callable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any, cast

_ATOMS = (str, bytes, bytearray, int, float, complex, bool, type(None), type, ModuleType)

Try = Callable[[Any], object]  # raises for what cannot be pickled


def explain(value: Any, error: BaseException, attempt: Try) -> str:
    """`its .model.lock is of type '_thread.lock' (TypeError: …)`, of the innermost part at which `attempt` fails, as it did with `error`."""
    path, part, way = "", value, {id(value)}
    while True:
        inner = ((s, p) for s, p in _parts(part) if id(p) not in way)
        worse = next(((s, p, e) for s, p in inner if (e := _fails(p, attempt)) is not None), None)
        if worse is None:
            break
        path, part, error = path + worse[0], worse[1], worse[2]
        way.add(id(part))
    kind = cast("type[object]", type(part))
    shown = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{f'its {path}' if path else 'it'} is of type {shown!r} ({type(error).__name__}: {error})"


def _fails(value: Any, attempt: Try) -> BaseException | None:
    if isinstance(value, _ATOMS):
        return None
    try:
        attempt(value)
    except Exception as error:  # noqa: BLE001 (a user's __reduce__ may raise anything)
        return error
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value is made of, each with how it is reached."""
    if isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            yield f"[{key!r}]", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("list[Any]", value)):
            yield f"[{index}]", item
    elif isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield f".<captured {name}>", _content(cell)
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
    else:
        yield from ((f".{name}", item) for name, item in _state(value).items())


def _state(value: Any) -> dict[str, Any]:
    """The attributes that pickle would write of an object."""
    try:
        made: tuple[Any, ...] | str = value.__reduce_ex__(5)
    except Exception:  # noqa: BLE001 (it is the culprit itself)
        return {}
    state: Any = made[2] if len(made) > 2 else None  # of a str, which names a global, nothing that is a dict
    states = cast("tuple[Any, ...]", state if isinstance(state, tuple) else (state,))  # with slots: (dict, slots)
    return {k: v for one in states if isinstance(one, dict) for k, v in cast("dict[str, Any]", one).items()}


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None
