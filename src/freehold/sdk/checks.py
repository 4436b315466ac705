"""Checks of what declarations are given, shared by apps, functions, classes and images. Each raises InvalidError with the fix."""

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeVar, cast

from freehold.core.errors import InvalidError
from freehold.core.names import is_variable
from freehold.core.suggest import did_you_mean

T = TypeVar("T")
_TAKEN = frozenset(  # the system's own
    "/ /root /tmp /bin /boot /dev /etc /lib /lib32 /lib64 /proc /run /sbin /sys /usr /var".split()  # noqa: SIM905
)
_MOST = 2**31  # of any amount: what is above is a mistake, and fits no wire


def known_options(given: Iterable[str], known: Collection[str], where: str) -> None:
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"; known are {', '.join(sorted(known))}"
            raise InvalidError(f"{where} has no option {name!r}{hint}")


def strings(items: object, where: str) -> list[str]:
    """The texts of `items`, themselves texts or lists of them."""
    flat: list[str] = []
    for item in cast("Iterable[Any]", items) if isinstance(items, (list, tuple)) else [items]:
        if isinstance(item, (list, tuple)):
            flat += strings(cast("list[Any]", item), where)
        elif not isinstance(item, str) or not item.strip():
            raise InvalidError(f"{where}: {item!r} is not a text of at least one character")
        else:
            flat.append(item)
    return flat


def variables(given: object, where: str) -> dict[str, str]:
    """Environment variables; a key whose value is None is left out."""
    if not isinstance(given, Mapping):
        raise InvalidError(
            f"{where}: {type(given).__name__} is not a dict of environment variables such as {{'KEY': 'value'}}"
        )
    found = cast("Mapping[Any, Any]", given)
    for key, value in found.items():
        if not is_variable(key):
            raise InvalidError(f"{where}: {key!r} cannot name an environment variable")
        if value is not None and not isinstance(value, str):
            raise InvalidError(
                f"{where}: the value of {key!r} is of type {type(value).__name__}, not a text; use str(...)"
            )
        if value is not None and "\0" in value:
            raise InvalidError(f"{where}: the value of {key!r} holds a NUL, which no environment variable can")
    return {key: value for key, value in found.items() if value is not None}


def many(given: object, kind: type[T], name: str, where: str, *, fix: str) -> tuple[T, ...]:
    """The members of a list, each of `kind`."""
    items = cast("list[object]", given) if isinstance(given, (list, tuple)) else [given]
    wrong = next((item for item in items if not isinstance(item, kind)), None)
    if wrong is not None or items is not given:
        raise InvalidError(
            f"{where}: {name}={given if wrong is None else wrong!r} is not a list of freehold.{kind.__name__}: give {fix}"
        )
    return tuple(cast("list[T]", items))


def one(given: object, kind: type, name: str, where: str, *, fix: str) -> None:
    if given is not None and not isinstance(given, kind):
        raise InvalidError(f"{where}: {name}={given!r} is not a freehold.{kind.__name__}: give {fix}")


def mounts(given: object, kind: type[T] | tuple[type[T], ...], where: str, name: str = "volumes") -> dict[str, T]:
    """Volumes and their like by where they are mounted."""
    first = kind[0] if isinstance(kind, tuple) else kind
    fix = f"{{'/path': freehold.{first.__name__}.from_name(...)}}"
    if not isinstance(given, Mapping):
        raise InvalidError(f"{where}: {name}={given!r} is not a dict: give {fix}")
    found: dict[str, T] = {}
    for path, volume in cast("Mapping[object, object]", given).items():
        at = str(PurePosixPath(str(path)))
        if not at.startswith("/") or at in _TAKEN or ".." in PurePosixPath(at).parts:
            why = ", which is the system's own" if at in _TAKEN else ""
            raise InvalidError(
                f"{where}: a volume cannot be mounted at {str(path)!r}{why}: give an absolute path such as '/data'"
            )
        if at in found:
            raise InvalidError(f"{where}: two volumes are mounted at {at!r}: give one of them another path")
        if not isinstance(volume, kind):
            kinds = " nor a ".join(f"freehold.{k.__name__}" for k in (kind if isinstance(kind, tuple) else (kind,)))
            no = "neither a" if isinstance(kind, tuple) else "not a"
            raise InvalidError(f"{where}: {name}[{at!r}]={volume!r} is {no} {kinds}: give {fix}")
        found[at] = cast("T", volume)
    return found


def port(given: object, where: str, *, example: str) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= 65535:
        raise InvalidError(f"{where}(port={given!r}): give a port between 1 and 65535, such as {example}")


def flag(given: object, name: str, where: str) -> None:
    if given is not None and not isinstance(given, bool):
        raise InvalidError(f"{where}: {name}={given!r} is neither True nor False")


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_amount(value: object) -> bool:
    """Whether a value is a number above 0 that something can have so much of."""
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 < value < _MOST
    )
