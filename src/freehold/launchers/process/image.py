"""Images of this machine: built once a digest, however many ask, whole or not at all."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from freehold.core.digests import image_digest
from freehold.core.home import Home
from freehold.core.specs import ImageSpec
from freehold.launchers.contract import Attachments, ImageFacts
from freehold.launchers.process.base_venv import BaseVenvs
from freehold.launchers.process.build import LAYOUT, Build, Log, Runs, host_of_images
from freehold.launchers.process.interpreters import Interpreter
from freehold.launchers.process.recipe import read
from freehold.launchers.process.system import discard, release


class Images:
    """The images of one home."""

    def __init__(self, home: Home, runs: Runs, attachments: Callable[[], Attachments]) -> None:
        self._home, self._runs, self._attachments = home, runs, attachments
        self._bases = BaseVenvs(home.images, LAYOUT)
        self._building: dict[str, asyncio.Task[Path]] = {}
        self._logs: dict[str, list[Log]] = {}

    async def ensure(self, spec: ImageSpec, log: Log) -> Path:
        """Return the image's folder; build it first when it is not there."""
        digest = image_digest(spec)
        folder = self._home.images / digest
        if _ready(folder, layered=not self._runs.flat):
            os.utime(folder)
            return folder
        self._logs.setdefault(digest, []).append(log)
        task = self._building.get(digest)
        if task is None:
            task = self._building[digest] = asyncio.create_task(self._build(spec, digest, folder))
            task.add_done_callback(lambda _: self._built(digest))
        return await asyncio.shield(task)

    def _built(self, digest: str) -> None:
        self._building.pop(digest, None)
        self._logs.pop(digest, None)

    async def _build(self, spec: ImageSpec, digest: str, folder: Path) -> Path:
        self._home.images.mkdir(parents=True, exist_ok=True)
        plan = read(spec, await asyncio.to_thread(host_of_images))
        scratch = Path(tempfile.mkdtemp(dir=self._home.images, prefix=f".build-{digest[:12]}-"))
        try:
            with (scratch / "build.log").open("a", encoding="utf-8") as file:
                log = self._log_to(digest, file)

                async def make_base(scratch: Path, python: Interpreter) -> None:
                    await Build(self._home, scratch, log, self._runs, self._attachments()).make_base(python)

                build = Build(self._home, scratch, log, self._runs, self._attachments())
                await build.run(plan, lambda python: self._bases.ensure(python, make_base))
            _publish(scratch, folder, layered=not self._runs.flat)
            self._failed(digest).unlink(missing_ok=True)
        except BaseException:
            _keep_log(scratch, self._failed(digest))
            raise
        finally:
            await asyncio.to_thread(discard, scratch)
        return folder

    def _log_to(self, digest: str, file: TextIO) -> Log:
        def write(line: str) -> None:
            print(line, file=file, flush=True)
            for log in self._logs.get(digest, []):
                log(line)

        return write

    def facts(self, digest: str) -> ImageFacts | None:
        folder = self._home.images / digest
        try:
            made: dict[str, Any] = json.loads((folder / "image.json").read_text())
            return ImageFacts(size_bytes=made.get("size_bytes"), used=folder.stat().st_mtime)
        except (OSError, ValueError):
            return None

    def log(self, digest: str) -> list[str]:
        """The newer one of the log of the image and that of a build that failed."""
        files = [f for f in (self._home.images / digest / "build.log", self._failed(digest)) if f.is_file()]
        newest = max(files, key=lambda f: f.stat().st_mtime, default=None)
        return newest.read_text(errors="replace").splitlines() if newest else []

    def delete(self, digest: str) -> None:
        folder = self._home.images / digest
        if folder.exists():
            gone = folder.with_name(f".old-{secrets.token_hex(4)}")
            folder.rename(gone)  # at once, so that no build finds half of it
            discard(gone)
        self._failed(digest).unlink(missing_ok=True)
        self._bases.prune()

    def _failed(self, digest: str) -> Path:
        return self._home.images / f"{digest}.failed.log"

    async def close(self) -> None:
        """Give up what is being built."""
        await self._bases.close()
        tasks = list(self._building.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def _ready(folder: Path, *, layered: bool) -> bool:
    """Whether an image can be used as it is. One that was built without packages is not, where it can have them now."""
    try:
        made: dict[str, Any] = json.loads((folder / "image.json").read_text())
        return (
            made.get("layout") == LAYOUT
            and made.get("system") in (None, release())
            and not (layered and made.get("lacks"))
            and (folder / "venv/bin/python").exists()
        )
    except (OSError, ValueError):
        return False


def _publish(scratch: Path, folder: Path, *, layered: bool) -> None:
    if _ready(
        folder, layered=layered
    ):  # another server that shares these images was quicker, and its instances run in it
        return
    (scratch / "requirements.txt").unlink(missing_ok=True)
    for name in ("project", "tmp"):
        shutil.rmtree(scratch / name, ignore_errors=True)
    scratch.chmod(0o755)
    if folder.exists():  # of an older layout, or broken
        old = folder.with_name(f".old-{secrets.token_hex(4)}")
        folder.rename(old)
        discard(old)
    scratch.rename(folder)


def _keep_log(scratch: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.copyfile(scratch / "build.log", target)
