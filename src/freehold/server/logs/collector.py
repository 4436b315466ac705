"""The collector: one thread that moves what instances write into the logs, each line once, over crashes too.

A line carries its end in the raw file (`seq`), so the logs themselves tell where to go on. `.collected.json`, written now and
then, says how far that need not be read again.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from freehold.server.logs.files import collected, log_path, mend
from freehold.server.logs.tails import Tail
from freehold.server.logs.words import LOG_TYPES, LogSource
from freehold.telemetry.files import LogFile

_log = logging.getLogger("freehold.logs")
_FASTEST_S, _SLOWEST_S, _SLOWER = 0.02, 0.5, 1.3
_REMEMBER_EVERY_S = 2.0
_ORPHAN_QUIET_S = 5.0
_SOURCE_FILE, _OUTPUT_FILE = "source.json", "output"

Command = Callable[["Collector"], None]

Running = Callable[[str], str]  # the only call that an instance runs now; "" for none or several


class Collector(threading.Thread):
    """Owns all tails and all log files. Others talk to it by `tell`."""

    def __init__(
        self, logs: Path, instances: Path, *, max_bytes: int, keep: int, wrote: Callable[[], None], running: Running
    ) -> None:
        super().__init__(name="log-collector", daemon=True)
        self._logs, self._instances, self._wrote = logs, instances, wrote
        self._max_bytes, self._keep = max_bytes, keep
        self._running = running
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._tails: dict[str, Tail] = {}
        self._orphans: dict[str, float] = {}  # instances of an earlier server, and when they last wrote
        self._files: dict[Path, LogFile] = {}
        self._resume: dict[str, int] = {}
        self._remembered, self._changed = 0.0, False
        self._closing = False

    # ---- called from other threads

    def tell(self, command: Command | None) -> None:
        """Run `command` in this thread, soon; None: collect what is there, then end."""
        self._commands.put(command)

    # ---- commands

    def add(self, instance: str, source: LogSource, path: Path) -> None:
        self._orphans.pop(instance, None)
        if (known := self._tails.get(instance)) is not None:
            known.ended = False
            return
        self._tails[instance] = Tail(instance, path, source, self._resume.pop(instance, 0))

    def ended(self, instance: str) -> None:
        if (tail := self._tails.get(instance)) is not None:
            tail.ended = True

    def drain(self, done: Callable[[], None]) -> None:
        """Collect everything that is written now, then call `done`."""
        for tail in list(self._tails.values()):
            self._collect_all(tail)
            if tail.ended and tail.offset >= tail.written():
                self._collect(tail)  # nothing more comes: its file goes now, not with the next pass
        done()

    # ---- the thread

    def run(self) -> None:
        try:
            self._recover()
        except Exception:  # noqa: BLE001 (the edge of the thread)
            _log.exception("logs_not_recovered")
        self._obey(0.0)  # so that instances of this server, which are noted too, are not taken for orphans
        pause = _FASTEST_S
        while not self._closing:
            pause = _FASTEST_S if self._pass() else min(pause * _SLOWER, _SLOWEST_S)
            self._obey(pause)
        self._pass()
        self._remember()
        for tail in self._tails.values():
            tail.close(delete=False)
        for file in self._files.values():
            file.close()

    def _obey(self, pause: float) -> None:
        """Run the commands that came, waiting at most `pause` for the first."""
        timeout = pause if self._tails or self._changed else None
        try:
            command = self._commands.get(timeout=timeout)
            while True:
                if command is None:
                    self._closing = True
                else:
                    self._do(command)
                command = self._commands.get_nowait()
        except Empty:
            return

    def _do(self, command: Command) -> None:
        try:
            command(self)
        except Exception:  # noqa: BLE001 (the edge of the loop)
            _log.exception("log_command_failed")

    def _pass(self) -> bool:
        """Collect a piece of each; true when there was something."""
        busy = False
        for tail in list(self._tails.values()):
            busy = self._collect(tail) or busy
        now = time.monotonic()
        self._end_quiet_orphans(now)
        if self._changed and now - self._remembered > _REMEMBER_EVERY_S:
            self._remember()
        return busy

    def _collect_all(self, tail: Tail) -> None:
        upto = tail.written()
        while tail.offset < upto and self._collect(tail):
            pass

    def _collect(self, tail: Tail) -> bool:
        """Collect a piece; one instance's trouble, a full disk too, must not stop the others."""
        try:
            data = tail.read()
            if data:
                self._store(tail, data)
                tail.troubled = False
                return True
            if tail.ended:
                self._finish(tail)
        except Exception as error:  # noqa: BLE001 (the edge of the loop)
            if tail.troubled:
                return False
            tail.troubled = True
            _log.warning(
                "logs_not_collected",
                extra={"instance": tail.instance, "error.type": type(error).__name__, "detail": str(error)},
            )
        return False

    def _store(self, tail: Tail, data: bytes) -> None:
        batch = tail.encoder.encode(data, tail.offset, self._running(tail.instance))
        file = self._file(tail.source)
        if batch.data:
            file.append(batch.data)
            self._wrote()
        self._changed = True
        if tail.instance in self._orphans:
            self._orphans[tail.instance] = time.monotonic()
        if tail.taken(batch.end):
            file.sync()  # before the only other copy goes
            tail.punch()

    def _finish(self, tail: Tail) -> None:
        tail.close(delete=True)
        tail.path.with_name(_SOURCE_FILE).unlink(missing_ok=True)
        del self._tails[tail.instance]

    def _file(self, source: LogSource) -> LogFile:
        path = log_path(self._logs, source.type, source.app)
        if path not in self._files:
            self._files[path] = LogFile(path, max_bytes=self._max_bytes, keep=self._keep)
        return self._files[path]

    # ---- over a crash

    def _recover(self) -> None:
        """Find out how far each instance was collected, and go on with those that an earlier server left."""
        known = self._recall()
        self._resume = {k: int(v) for k, v in known.get("positions", {}).items()}
        for kind in LOG_TYPES[:2]:  # the others are not collected
            for path in sorted((self._logs / kind).glob("*.jsonl")):
                mend(path)
                inode, size = known.get("files", {}).get(str(path.relative_to(self._logs)), (None, 0))
                self._resume |= collected(path, inode, size)
        for note in self._instances.glob(f"*/{_SOURCE_FILE}"):
            self._adopt(note)

    def _adopt(self, note: Path) -> None:
        instance = note.parent.name
        try:
            source = LogSource(**json.loads(note.read_bytes()))
        except (OSError, ValueError, TypeError):
            note.unlink(missing_ok=True)
            return
        self.add(instance, source, note.with_name(_OUTPUT_FILE))
        self._orphans[instance] = time.monotonic()

    def _end_quiet_orphans(self, now: float) -> None:
        for instance in [i for i, at in self._orphans.items() if now - at > _ORPHAN_QUIET_S]:
            del self._orphans[instance]
            self.ended(instance)

    def _recall(self) -> dict[str, Any]:
        try:
            return json.loads((self._logs / ".collected.json").read_bytes())
        except (OSError, ValueError):
            return {}

    def _remember(self) -> None:
        """Note positions together with the sizes of the logs that hold all lines up to them."""
        files = {str(path.relative_to(self._logs)): (f.inode, f.size) for path, f in self._files.items()}
        known = self._recall().get("files", {})
        text = json.dumps({"files": known | files, "positions": {i: t.offset for i, t in self._tails.items()}})
        _write(self._logs / ".collected.json", text)
        self._remembered, self._changed = time.monotonic(), False


def note_source(folder: Path, source: LogSource) -> None:
    """Say whose output will lie in this folder: for a later server, which may find it uncollected."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / _SOURCE_FILE, json.dumps(asdict(source)))


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        _log.warning("log_note_not_written", extra={"path": str(path), "detail": str(error)})
