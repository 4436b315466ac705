"""ContainerProcess: a command that runs in a sandbox, with its streams."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from freehold.core.errors import ExecTimeoutError, InvalidError
from freehold.protocol import schemas
from freehold.sdk.faces import both, patient
from freehold.sdk.http import Api
from freehold.sdk.io_streams import Descriptor, StreamReader, StreamWriter
from freehold.sdk.stream_type import StreamType

T = TypeVar("T", str, bytes)
_POLL_S = 50


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a command's streams are read."""

    text: bool = True
    by_line: bool = False
    stdout: StreamType = StreamType.PIPE
    stderr: StreamType = StreamType.PIPE


class ContainerProcess(Generic[T]):
    """Made by `Sandbox.exec`."""

    def __init__(
        self, api: Callable[[], Api], path: str, command: str, reading: Reading, *, limited: bool = False
    ) -> None:
        self._api, self._path, self._command = api, f"{path}/commands/{command}", command
        self._view: schemas.CommandView | None = None
        self._limited = limited

        def reader(descriptor: Descriptor, kind: StreamType) -> StreamReader[T]:
            name = "stdout" if descriptor == 1 else "stderr"
            return StreamReader(
                lambda: self._api().pieces(f"{self._path}/{name}"), descriptor, text=reading.text, by_line=reading.by_line, kind=kind,
                at_end=self._check_time,
            )  # fmt: skip

        self._stdout, self._stderr = reader(1, reading.stdout), reader(2, reading.stderr)
        self._stdin = StreamWriter(api, f"{self._path}/stdin")

    def __repr__(self) -> str:
        return f"ContainerProcess(process_id={self._command!r})"

    @property
    def object_id(self) -> str:
        return self._command

    @property
    def stdout(self) -> StreamReader[T]:
        return self._stdout

    @property
    def stderr(self) -> StreamReader[T]:
        return self._stderr

    @property
    def stdin(self) -> StreamWriter:
        return self._stdin

    @property
    def returncode(self) -> int:
        """Its exit code, once `wait()` or `poll()` has seen its end; 128 and the signal's number where one killed it."""
        if self._view is None or self._view.returncode is None:
            msg = "the returncode is known after wait(); poll() asks whether the command has ended"
            raise InvalidError(msg)
        return self._view.returncode

    @both
    async def poll(self) -> int | None:
        """Its exit code, or None while it runs; -1 after its timeout."""
        return (await patient(self._look, 0)).returncode

    @both
    async def wait(self) -> int:
        """Wait for its end, and return its exit code; -1 after its timeout."""
        while (code := (await patient(self._look, _POLL_S)).returncode) is None:
            pass
        for stream in (self._stdout, self._stderr):
            await patient(stream.printed)
        return code

    @both
    async def view(self) -> "schemas.CommandView":
        """As `wait`, with why it failed where it is one of the sandbox's tools."""
        while (view := await patient(self._look, _POLL_S)).returncode is None:
            pass
        return view

    @both
    async def signal(self, number: int) -> None:
        """Send a signal to it and to what it started."""
        await patient(self._api().act, "POST", f"{self._path}/signal", {"number": number})

    @both
    async def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal how large it is."""
        await patient(self._api().act, "POST", f"{self._path}/size", {"rows": rows, "columns": columns})

    @both
    async def attach(self) -> None:
        """Join it with the terminal of this process until it ends."""
        from freehold.sdk.attach import attach

        await patient(attach, cast("ContainerProcess[Any]", self))

    # ---- how

    def _look(self, timeout_s: int) -> "schemas.CommandView":
        if self._view is None or self._view.returncode is None:
            self._view = self._api().get(self._path, schemas.CommandView, {"timeout_s": timeout_s})
        return self._view

    def _check_time(self) -> None:
        """At the end of a stream: was it the time that ended the command?"""
        if not self._limited:
            return
        deadline = time.monotonic() + 1  # its end is told a moment after its streams'
        while (view := self._look(1)).returncode is None and time.monotonic() < deadline:
            pass
        if view.timed_out:
            msg = "the command ran past its timeout, and was killed"
            raise ExecTimeoutError(msg)
