"""JSON schema of a function's arguments, for the API page; what has none is left open."""

import inspect
import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

import msgspec


def arguments_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """`{"type": "object", "properties": …}` over the parameters, without `self`."""
    try:
        hints = get_type_hints(function)
    except Exception:  # noqa: BLE001 (annotations are the user's code, and may name what is not here)
        hints = {}
    properties: dict[str, Any] = {}
    required: list[str] = []
    for one in inspect.signature(function).parameters.values():
        if one.name == "self" or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        properties[one.name] = _of(hints.get(one.name, Any)) | _default(one.default)
        if one.default is one.empty:
            required.append(one.name)
    return {"type": "object", "properties": properties, "required": required}


def _of(hint: Any) -> dict[str, Any]:
    if _names_own_class(
        hint
    ):  # which has no schema without references; msgspec would also leave in it what cannot be pickled
        return {}
    try:
        schema = msgspec.json.schema(hint)
    except Exception:  # noqa: BLE001 (a type that has no JSON form)
        return {}
    return {} if "$ref" in str(schema) else schema


def _names_own_class(hint: Any) -> bool:
    """Whether a class of the program, or of a library, is part of a type."""
    kinds = [k for k in (hint, get_origin(hint)) if isinstance(k, type)]
    own = any(k.__module__.partition(".")[0] not in sys.stdlib_module_names for k in kinds)
    return own or any(_names_own_class(part) for part in get_args(hint))


def _default(value: Any) -> dict[str, Any]:
    plain = value is None or isinstance(value, (str, int, float, bool))
    return {"default": value} if plain else {}
