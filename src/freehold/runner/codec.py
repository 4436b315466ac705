"""Payloads in and out of an instance: arguments, results, items and failures, with large buffers in the arena."""

from pathlib import Path
from typing import Any

from freehold.protocol.arena import MIN_BYTES, Arena
from freehold.protocol.frames import Buffer, Format, Payload
from freehold.sdk import serialization
from freehold.sdk.serialization import Arguments


class Codec:
    """Turns payloads to values and back. `folder` is the arena's, or empty when there is none."""

    def __init__(self, instance: str, folder: str) -> None:
        self.arena = Arena(folder, instance) if folder and Path(folder).is_dir() else None
        self._place = _Place(self.arena)

    def arguments(self, payload: Payload) -> Arguments:
        return serialization.load_arguments(payload, source=self._place)

    def result(self, value: Any, asked: int) -> Payload:
        """Write a result in the format that its input came in; SerializationError names its type, and the part that is to blame."""
        if asked == Format.JSON:
            return serialization.dumps_json(value)
        return serialization.dumps(value, name=f"the result of type {type(value).__qualname__!r}", sink=self._place)

    def failure(self, error: BaseException) -> Payload:
        return serialization.dump_failure(error)

    def kept(self, payload: Payload) -> list[str]:
        """The arena segments of an input that user code still looks at."""
        if self.arena is None or not payload.buffers:
            return []
        names = [b.segment for b in payload.buffers if b.kind == "arena"]
        if not names:
            return []
        held = self.arena.held(names)
        self.arena.drop(held)
        return held

    def release(self, names: list[str]) -> None:
        if self.arena is not None:
            self.arena.release(names)

    def close(self) -> None:
        if self.arena is not None:
            self.arena.close()


class _Place:
    """Where large pieces go and come from: the arena, and blobs through the user's own client."""

    def __init__(self, arena: Arena | None) -> None:
        self._arena = arena

    def put(self, view: memoryview) -> Buffer | None:
        if self._arena is None or view.nbytes < MIN_BYTES:
            return None
        try:
            return self._arena.put(view)
        except OSError:  # shared memory is full: inline
            return None

    def put_data(self, data: bytes) -> str:  # noqa: ARG002 (the pickle itself rides inline on one machine)
        return ""

    def open(self, buffer: Buffer) -> Any:
        if buffer.kind == "arena" and self._arena is not None:
            return self._arena.view(buffer)
        return _blobs().open(buffer)

    def open_data(self, digest: str) -> bytes:
        return _blobs().open_data(digest)


def _blobs() -> Any:
    from freehold.sdk.client import current  # only when a blob is met: it opens a link of its own

    return current().source
