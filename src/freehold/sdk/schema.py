"""JSON schema of a function's arguments, for the API page; what has none is left open."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

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
    try:
        schema = msgspec.json.schema(hint)
    except Exception:  # noqa: BLE001 (a type that has no JSON form)
        return {}
    return {} if "$ref" in str(schema) else schema


def _default(value: Any) -> dict[str, Any]:
    plain = value is None or isinstance(value, (str, int, float, bool))
    return {"default": value} if plain else {}
