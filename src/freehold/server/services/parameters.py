"""A class's parameters as plain JSON gives them, checked before anything starts for them."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from freehold.core.errors import InvalidError
from freehold.core.specs import FunctionSpec, Parameter

_PYTHON: dict[str, type] = {"str": str, "int": int, "bool": bool, "bytes": bytes}


def encode_parameters(spec: FunctionSpec, given: Mapping[str, Any]) -> bytes:
    """The key of their pool, as `Submit.parameters`: what is left at its default is left out. Raises InvalidError."""
    known = {p.name: p for p in spec.parameters}
    for name in given:
        if name not in known:
            msg = f"{spec.name!r} has no parameter {name[:100]!r}; it has: {', '.join(known) or 'none'}"
            raise InvalidError(msg)
    missing = [p.name for p in spec.parameters if p.required and p.name not in given]
    if missing:
        msg = f"{spec.name!r} needs its parameter {missing[0]!r}: give it in the body's `parameters`"
        raise InvalidError(msg)
    values = {name: _value(spec.name, known[name], value) for name, value in given.items()}
    chosen = sorted([n, v] for n, v in values.items() if known[n].required or v != known[n].default)
    return msgspec.msgpack.encode(chosen) if chosen else b""


def _value(cls_name: str, parameter: Parameter, value: Any) -> Any:
    if parameter.type == "bytes" and isinstance(value, str):
        try:
            return b64decode(value, validate=True)
        except binascii.Error:
            msg = f"{cls_name!r}: parameter {parameter.name!r} is bytes; give it as base64"
            raise InvalidError(msg) from None
    if type(value) is not _PYTHON[parameter.type]:
        msg = f"{cls_name!r}: parameter {parameter.name!r} is of type {parameter.type}, not {type(value).__name__}"
        raise InvalidError(msg)
    return value
