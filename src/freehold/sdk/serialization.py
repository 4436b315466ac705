"""Values and exceptions to payloads and back, on the user's side of the wire.

Pickle protocol 5: large buffers leave the pickle and travel beside it, inline, in the arena or as blobs. `Sink` and
`Source` are where they are put and opened; without them, everything is inline.
"""

import builtins
import contextlib
import functools
import importlib
import io
import json
import pickle
import sys
from types import CodeType, FunctionType
from typing import Any, Protocol

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]
import msgspec

from freehold.core import errors
from freehold.core.errors import DeserializationError, Error, InputCancellation, RemoteError, SerializationError
from freehold.protocol.errors import from_wire
from freehold.protocol.frames import Buffer, Format, Payload, RemoteFailure
from freehold.protocol.payload import decode_failure, encode_failure, failure_line
from freehold.sdk import exceptions
from freehold.sdk.tracebacks import REMOTE_NOTE, user_traceback
from freehold.sdk.unpicklable import explain

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
_STEERING = (
    StopIteration,
    StopAsyncIteration,
)  # raised again here they would end somebody's loop; a remote SystemExit, the process
_OUT_OF_BAND_BYTES = 32 * 1024  # smaller buffers cost less inside the pickle


class Sink(Protocol):
    """Where large pieces of a payload go."""

    def put(self, view: memoryview) -> Buffer | None:
        """Take `view` elsewhere and say where; None: send it inline."""
        ...

    def put_data(self, data: bytes) -> str:
        """Take a whole pickle to the blob store and return its sha256; "": send it inline."""
        ...


class Source(Protocol):
    """Where large pieces of a payload are found again."""

    def open(self, buffer: Buffer) -> Any:
        """Return a writable bytes-like object with the piece's bytes."""
        ...

    def open_data(self, digest: str) -> bytes: ...


# ---- values


def dumps(value: Any, *, name: str = "the value", sink: Sink | None = None, main: str | None = None) -> Payload:
    """Pickle `value`. `main`: the name under which the other side knows our `__main__`; None: it does not, send by value.

    SerializationError says which part of the value, called `name`, is to blame.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = _pickle(value, buffers, main)
    except Exception as error:
        raise _unpicklable(name, value, error, main) from error
    return _finish(data, buffers, sink)


def dump_key(key: Any) -> bytes:
    """Pickle a key so that equal strings, bytes, numbers and tuples of such give equal bytes, whichever objects they are."""
    file = io.BytesIO()
    try:
        pickler = _Plain(file, [], None)
        pickler.fast = True  # else the second of two equal parts is a reference where they are one object
        pickler.dump(key)
        return file.getvalue()
    except (_ByValueError, pickle.PicklingError, AttributeError, TypeError, ValueError):
        return dumps(key, name="the key").data


def load_key(data: bytes) -> Any:
    return loads(Payload(data=data))


def loads(payload: Payload, *, source: Source | None = None) -> Any:
    """The value of a payload, of either format."""
    data = _data(payload, source)
    if payload.format == Format.JSON:
        return json.loads(data) if data else None
    try:
        if not payload.buffers:
            return pickle.loads(data)  # noqa: S301 (the user's own side: this is where pickles are opened)
        return pickle.loads(data, buffers=[_open(b, source) for b in payload.buffers])  # noqa: S301 (as above)
    except DeserializationError:
        raise
    except Exception as error:
        raise _unreadable(error) from error


def dumps_json(value: Any) -> Payload:
    """Write a result for a caller that speaks JSON."""
    try:
        return Payload(data=msgspec.json.encode(value), format=Format.JSON)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"the result of type {type(value).__qualname__!r} cannot be written as JSON ({error}): return plain data to callers over HTTP"
        raise SerializationError(msg) from error


def dump_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], *, sink: Sink | None = None, main: str | None = None
) -> Payload:
    """Pickle the arguments of an input; SerializationError names the one that cannot be, and the part of it that is to blame."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = _pickle((args, kwargs), buffers, main)
    except Exception as error:
        raise _unpicklable_argument((args, kwargs), error, main) from error
    return _finish(data, buffers, sink)


def load_arguments(payload: Payload, *, source: Source | None = None) -> Arguments:
    """The arguments of an input, of either format."""
    value = loads(payload, source=source)
    if payload.format != Format.JSON:
        return value
    try:
        return tuple(value.get("args", ())), dict(value.get("kwargs", {}))
    except (AttributeError, TypeError, ValueError) as error:
        msg = 'a JSON input must be an object such as {"args": [1, 2], "kwargs": {"x": 3}}'
        raise DeserializationError(msg) from error


def dump_code(value: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> bytes:
    """Pickle a function or class by value, with what it needs of its module; with arguments, as a `functools.partial`."""
    module = sys.modules.get(value.__module__)
    whole = functools.partial(value, *args, **(kwargs or {})) if args or kwargs else value
    by_value = module is not None and module.__name__ != "__main__"
    if by_value:
        cloudpickle.register_pickle_by_value(module)  # pyright: ignore[reportUnknownMemberType]
    try:
        file = io.BytesIO()
        _OfThisPython(file, protocol=5).dump(whole)  # pyright: ignore[reportUnknownMemberType]
        return file.getvalue()
    except Exception as error:
        raise _unpicklable(repr(value.__qualname__), value, error) from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)  # pyright: ignore[reportUnknownMemberType]


# ---- exceptions


def failure(error: BaseException) -> RemoteFailure:
    """`error` as it crosses: its type, message and the user's frames, and itself where it can be pickled."""
    text = user_traceback(error)
    notes: list[str] = list(getattr(error, "__notes__", ()))
    own = [n for n in notes if not n.startswith(REMOTE_NOTE)]
    if len(own) != len(notes):
        error.__notes__ = own
    try:
        pickled = exceptions.dumps(error)
    finally:
        if len(own) != len(notes):
            error.__notes__ = notes
    return RemoteFailure(
        type=_type_name(type(error)), message=_message(error), traceback=text,
        code=error.code if isinstance(error, (Error, InputCancellation)) else "aborted", pickled=pickled,
    )  # fmt: skip


def dump_failure(error: BaseException) -> Payload:
    """The payload of a Result whose status is ERROR."""
    return Payload(data=encode_failure(failure(error)))


def load_failure(payload: Payload) -> BaseException:
    """The exception in an Output whose status is not OK."""
    return rebuild(decode_failure(payload))


def rebuild(remote: RemoteFailure) -> BaseException:
    """The exception that crossed, with the remote traceback as a note; a stand-in when its class is not here."""
    error = _unpickle_error(remote) or _stand_in(remote)
    if ' File "' in remote.traceback:
        error.add_note(REMOTE_NOTE + _without_header(remote.traceback))
    return error


# ---- how


class _ByValueError(Exception):
    """Something in the value has no importable name: cloudpickle must write it."""


class _Plain(pickle.Pickler):
    """The C pickler, for what the other side can import: a quarter of cloudpickle's time."""

    def __init__(self, file: io.BytesIO, buffers: list[pickle.PickleBuffer], main: str | None) -> None:
        super().__init__(file, protocol=5, buffer_callback=functools.partial(_in_band, buffers))
        self._main = main

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, FunctionType)) and obj.__module__ == "__main__":
            return _by_name(obj, self._main) or self._give_up()
        return NotImplemented

    def _give_up(self) -> Any:
        raise _ByValueError


class _OfThisPython(cloudpickle.Pickler):
    """cloudpickle, with code that says which Python compiled it: another minor version crashes over it."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, CodeType):
            reduced: Any = self.dispatch_table[CodeType](obj)
            return code_of, (sys.version_info[:2], *reduced[1])
        return super().reducer_override(obj)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def code_of(python: tuple[int, int], *parts: Any) -> CodeType:
    """Rebuild code that was sent by value."""
    if python != sys.version_info[:2]:
        theirs, ours = (".".join(map(str, v)) for v in (python, sys.version_info[:2]))
        msg = (
            f"code sent by value was compiled by Python {theirs}, and this is Python {ours}: define it in a module's top level, "
            f"so that it is sent by name, or use one version on both sides (Image.debian_slim(python_version={theirs!r}))"
        )
        raise DeserializationError(msg)
    return CodeType(*parts)


class _ByValue(_OfThisPython):
    """cloudpickle, with our `__main__` by the name that the other side knows."""

    def __init__(self, file: io.BytesIO, buffers: list[pickle.PickleBuffer], main: str | None) -> None:
        keep = functools.partial(_in_band, buffers)
        super().__init__(file, protocol=5, buffer_callback=keep)  # pyright: ignore[reportUnknownMemberType]
        self._main = main

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, FunctionType)) and obj.__module__ == "__main__":
            named = _by_name(obj, self._main)
            if named is not None:
                return named
        return super().reducer_override(obj)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _pickle(value: Any, buffers: list[pickle.PickleBuffer], main: str | None) -> bytes:
    file = io.BytesIO()
    if not cloudpickle.list_registry_pickle_by_value():
        try:
            _Plain(file, buffers, main).dump(value)
            return file.getvalue()
        except (_ByValueError, pickle.PicklingError, AttributeError, TypeError):
            buffers.clear()
            file = io.BytesIO()
    _ByValue(file, buffers, main).dump(value)  # pyright: ignore[reportUnknownMemberType]
    return file.getvalue()


def _in_band(buffers: list[pickle.PickleBuffer], buffer: pickle.PickleBuffer) -> bool:
    try:
        large = buffer.raw().nbytes >= _OUT_OF_BAND_BYTES
    except BufferError:  # not contiguous
        return True
    if large:
        buffers.append(buffer)
    return not large


def _by_name(obj: Any, main: str | None) -> tuple[Any, ...] | None:
    """How the other side finds a class or function of our `__main__`; None: it cannot."""
    if main is None or _find(sys.modules["__main__"], obj.__qualname__) is not obj:
        return None
    return _named, (main, obj.__qualname__)


def _named(module: str, qualname: str) -> Any:
    return _find(importlib.import_module(module), qualname)


def _find(module: Any, qualname: str) -> Any:
    value = module
    for part in qualname.split("."):
        value = getattr(value, part, None)
    return value


def _finish(data: bytes, buffers: list[pickle.PickleBuffer], sink: Sink | None) -> Payload:
    placed = tuple(_place(b.raw(), sink) for b in buffers) if buffers else ()
    digest = sink.put_data(data) if sink is not None else ""
    return Payload(data=b"", buffers=placed, blob=digest) if digest else Payload(data=data, buffers=placed)


def _place(view: memoryview, sink: Sink | None) -> Buffer:
    placed = sink.put(view) if sink is not None else None
    return placed or Buffer(kind="inline", data=view.tobytes(), size=view.nbytes)


def _data(payload: Payload, source: Source | None) -> bytes:
    if not payload.blob:
        return payload.data
    if source is None:
        msg = f"the value lies in the blob store as {payload.blob}, which cannot be reached from here"
        raise DeserializationError(msg)
    return source.open_data(payload.blob)


def _open(buffer: Buffer, source: Source | None) -> Any:
    if buffer.kind == "inline":
        return bytearray(buffer.data)  # writable, as the array was
    if source is None:
        msg = f"a buffer lies in the {buffer.kind} {buffer.segment!r}, which cannot be reached from here"
        raise DeserializationError(msg)
    return source.open(buffer)


def _unpicklable(name: str, value: Any, error: Exception, main: str | None = None) -> SerializationError:
    why = explain(value, error, lambda part: _pickle(part, [], main))
    return SerializationError(
        f"{name} cannot be pickled: {why}; send plain data, or make such an object where it is used"
    )


def _unpicklable_argument(arguments: Arguments, error: Exception, main: str | None) -> SerializationError:
    args, kwargs = arguments
    for name, value in [
        *((f"argument {i}", v) for i, v in enumerate(args, 1)),
        *((f"argument {k!r}", v) for k, v in kwargs.items()),
    ]:
        try:
            _pickle(value, [], main)
        except Exception as own:  # noqa: BLE001 (whatever a user's __reduce__ raises)
            return _unpicklable(name, value, own, main)
    return _unpicklable("the call", arguments, error, main)


def _unreadable(error: Exception) -> DeserializationError:
    fix = ""
    if isinstance(error, ImportError):
        fix = f": install {error.name!r} on both sides, or return plain data such as lists and dicts"
    return DeserializationError(f"a value cannot be read here, {type(error).__name__}: {error}{fix}")


def _type_name(kind: type[BaseException]) -> str:
    if vars(errors).get(kind.__name__) is kind:
        return f"freehold.exception.{kind.__name__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (a user's __str__ may do anything)
        return f"<{type(error).__qualname__} whose message cannot be read>"


def _unpickle_error(remote: RemoteFailure) -> BaseException | None:
    if not remote.pickled:
        return None
    try:
        error = pickle.loads(remote.pickled)  # noqa: S301 (the user's own side)
    except Exception:  # noqa: BLE001 (its class is not importable here: a stand-in tells the rest)
        return None
    return error if isinstance(error, Exception) and not isinstance(error, _STEERING) else None


def _stand_in(remote: RemoteFailure) -> BaseException:
    module, _, name = remote.type.rpartition(".")
    if module in ("", "freehold.exception", "freehold.core.errors"):
        return from_wire(remote.code, remote.message, name)
    kind = getattr(builtins, name, None) if module == "builtins" else None
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, _STEERING):
        with contextlib.suppress(Exception):  # UnicodeError and its like want more arguments
            return kind(remote.message)
    return RemoteError(failure_line(remote))


def _without_header(text: str) -> str:
    return text.removeprefix("Traceback (most recent call last):\n").rstrip("\n")
