"""What images begin with: a venv with the runner's packages, made once an interpreter, whose files each image's venv shares.

Files are shared by hard links. uv and pip replace files and write into none, so what an image installs stays its own.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from freehold.launchers.process.interpreters import Interpreter
from freehold.launchers.process.recipe import runner_requirements

Make = Callable[[Path, Interpreter], Awaitable[None]]
_PREFIX = "base-"
_OWN = ("pyvenv.cfg",)  # small, and people edit such in place; so are the programs in `bin`


class BaseVenvs:
    """Those of one home. `make` fills a folder with `venv`; another `layout` is made anew."""

    def __init__(self, images: Path, layout: int) -> None:
        self._images, self._layout = images, layout
        self._making: dict[Path, asyncio.Task[Path]] = {}

    async def ensure(self, python: Interpreter, make: Make) -> Path:
        """Return the venv, made whole or not at all, and once however many ask."""
        folder = self._images / f"{_PREFIX}{self._digest(python)}"
        if _ready(folder):
            return folder / "venv"
        task = self._making.get(folder)
        if task is None:
            task = self._making[folder] = asyncio.create_task(self._make(folder, python, make))
            task.add_done_callback(lambda _: self._making.pop(folder, None))
        return await asyncio.shield(task)

    async def _make(self, folder: Path, python: Interpreter, make: Make) -> Path:
        scratch = Path(tempfile.mkdtemp(dir=self._images, prefix=f".build-{_PREFIX}"))
        try:
            await make(scratch, python)
            kept = {"layout": self._layout, "requirements": runner_requirements(), "python": str(python.path)}
            (scratch / "base.json").write_text(json.dumps(kept, indent=1))
            _publish(scratch, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        await asyncio.to_thread(self.prune)
        return folder / "venv"

    def prune(self) -> None:
        """Remove those that no image will begin with any more: of another layout, other packages, or a Python that is gone."""
        for folder in self._images.glob(f"{_PREFIX}*"):
            if not self._is_current(folder):
                _remove(folder)

    async def close(self) -> None:
        """Give up what is being made."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _digest(self, python: Interpreter) -> str:
        named = [self._layout, str(python.path), python.minor, python.patch, *runner_requirements()]
        return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]

    def _is_current(self, folder: Path) -> bool:
        try:
            kept = json.loads((folder / "base.json").read_text())
        except (OSError, ValueError):
            return False
        return (
            kept.get("layout") == self._layout
            and kept.get("requirements") == list(runner_requirements())
            and _ready(folder)
        )


def share(base: Path, venv: Path) -> None:
    """Make `venv` of what `base` holds; where files cannot be shared, by copying them."""
    shutil.copytree(base, venv, symlinks=True, copy_function=_share)


def _share(source: str, target: str) -> None:
    place = Path(source)
    if place.parent.name != "bin" and place.name not in _OWN:
        with contextlib.suppress(OSError):  # other file systems, too many links
            os.link(source, target)
            return
    shutil.copy2(source, target)


def _ready(folder: Path) -> bool:
    return (folder / "base.json").is_file() and (folder / "venv/bin/python").exists()


def _publish(scratch: Path, folder: Path) -> None:
    if _ready(folder):  # another server that shares these images was quicker
        return
    if folder.exists():  # its Python was away
        _remove(folder)
    scratch.chmod(0o755)
    scratch.rename(folder)


def _remove(folder: Path) -> None:
    gone = folder.with_name(f".old-{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):  # another server removed it
        folder.rename(gone)  # at once, so that nothing finds half of it
    shutil.rmtree(gone, ignore_errors=True)
