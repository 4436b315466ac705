"""Payloads as bytes for the store, and failures as text. Nothing here unpickles."""

import msgspec

from freehold.protocol.frames import Payload, RemoteFailure

_encode = msgspec.msgpack.Encoder().encode
_payload = msgspec.msgpack.Decoder(Payload).decode
_failure = msgspec.msgpack.Decoder(RemoteFailure).decode


def encode_payload(payload: Payload) -> bytes:
    return _encode(payload)


def decode_payload(data: bytes) -> Payload:
    return _payload(data)


def payload_bytes(payload: Payload) -> int:
    """Size of the value as written: data and buffers."""
    if not payload.buffers:
        return len(payload.data)
    return len(payload.data) + sum(b.size or len(b.data) for b in payload.buffers)


def encode_failure(failure: RemoteFailure) -> bytes:
    return _encode(failure)


def decode_failure(payload: Payload) -> RemoteFailure:
    """Read a failure; what can't be read becomes one that says so."""
    try:
        return _failure(payload.data)
    except msgspec.DecodeError:
        return RemoteFailure("freehold.exception.RemoteError", "the instance sent a failure that cannot be read", "")


def failure_text(payload: Payload) -> str:
    return failure_line(decode_failure(payload))


def failure_line(failure: RemoteFailure) -> str:
    """One line: the exception's type without `builtins.`, and its message."""
    name = failure.type.removeprefix("builtins.").removeprefix("freehold.exception.")
    return f"{name}: {failure.message}" if failure.message else name
