"""`Image.run_function` as a step: the function by name with its file where it has one, else by value, and a digest of its code."""

import base64
import sys
from types import FunctionType
from typing import Any

import msgspec

from freehold.core.errors import InvalidError
from freehold.core.specs import ImageStep
from freehold.sdk.fingerprint import fingerprint
from freehold.sdk.source import Bundles, Source, locate

_CALL_MAX = 2 * 1024 * 1024


def function_step(
    raw: FunctionType, call: tuple[tuple[Any, ...], dict[str, Any]], bundles: Bundles, *, include_source: bool
) -> ImageStep:
    """The step without its options. `call`: positional and named arguments."""
    from freehold.sdk.serialization import dump_arguments, dump_code

    source = _by_name(raw)
    args: dict[str, Any] = {"module": raw.__module__, "qualname": raw.__qualname__, "code": fingerprint(raw)}
    if source is not None:
        args["module"] = source.module
    if call[0] or call[1]:
        data = msgspec.msgpack.encode(dump_arguments(*call, main=source.module if source else None))
        if len(data) > _CALL_MAX:
            msg = f"Image.run_function: args and kwargs make {len(data) >> 20} MiB, and {_CALL_MAX >> 20} MiB is the limit: read large data inside the function"
            raise InvalidError(msg)
        args["call"] = _text(data)
    if source is None:
        return ImageStep(kind="run_function", args=args, beside={"serialized": _text(dump_code(raw))})
    files = [*source.all_files] if include_source else []
    mounts = [{"digest": m.digest, "remote_path": m.remote_path} for m in bundles.mounts(files)]
    return ImageStep(kind="run_function", args=args, beside={"mounts": mounts})


def _by_name(raw: FunctionType) -> Source | None:
    """The file that a builder can import the function from; None: it must go by value."""
    source = locate(raw.__module__)
    found: Any = sys.modules.get(raw.__module__)
    for part in raw.__qualname__.split("."):
        found = getattr(found, part, None)
        if hasattr(found, "freehold_decorated"):
            found = getattr(found, "raw", found)
    return source if found is raw else None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
