"""Which Python interpreters this machine has, and which one an image gets."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import ImageBuildError

OLDEST = (3, 11)  # what the runner needs
_NAME = re.compile(r"^python3\.(\d+)$")
_FOLDER = re.compile(r"^(?:cpython-)?3\.(\d+)\.(\d+)(?:-|$)")  # pyenv's and uv's


@dataclass(frozen=True, order=True)
class Interpreter:
    minor: int  # of 3.x
    patch: int
    path: Path


def find() -> list[Interpreter]:
    """Every CPython 3 of this machine that the runner can use, the running one first."""
    found = {own().minor: own()}
    for interpreter in [*_on_path(), *_of_pyenv(), *_of_uv()]:
        best = found.get(interpreter.minor)
        if best is None:
            found[interpreter.minor] = interpreter
    return [i for i in found.values() if i.minor >= OLDEST[1]]


def own() -> Interpreter:
    """The interpreter that this process runs, without its venv."""
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    return Interpreter(sys.version_info.minor, sys.version_info.micro, base)


def choose(version: str | None, there: list[Interpreter]) -> tuple[Interpreter, str | None]:
    """Return the interpreter for `python_version`, and a warning when it is not the one that was asked for."""
    if version is None:
        return there[0], None
    parts = version.split(".")
    if len(parts) < 2 or parts[0] != "3" or not parts[1].isdigit():
        msg = f'debian_slim(python_version={version!r}): give a version such as "3.12"'
        raise ImageBuildError(msg)
    wanted = int(parts[1])
    nearest = min(there, key=lambda i: (abs(i.minor - wanted), -i.minor))
    if nearest.minor == wanted:
        return nearest, None
    have = ", ".join(f"3.{i.minor}" for i in sorted(there))
    return nearest, f"Python {version} is not on this machine (it has {have}): the image uses 3.{nearest.minor}"


def _on_path() -> Iterator[Interpreter]:
    for folder in os.get_exec_path():
        if "pyenv" in folder and folder.endswith("shims"):
            continue  # a shim stands for whatever version is chosen at that moment
        for path in _entries(folder):
            match = _NAME.match(path.name)
            if match and _runs(path):
                yield Interpreter(int(match[1]), 0, path.resolve())


def _of_pyenv() -> Iterator[Interpreter]:
    return _installed(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")  # noqa: PTH111 (raises nothing where there is no home)


def _of_uv() -> Iterator[Interpreter]:
    return _installed(os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.expanduser("~/.local/share/uv/python"))  # noqa: PTH111 (as above)


def _installed(*parts: str) -> Iterator[Interpreter]:
    """Interpreters in a folder each, the newest first."""
    there = [
        (int(m[1]), int(m[2]), path / "bin/python3") for path in _entries(*parts) if (m := _FOLDER.match(path.name))
    ]
    for minor, patch, path in sorted(there, reverse=True):
        if os.access(path, os.X_OK):
            yield Interpreter(minor, patch, path.resolve())


def _entries(*parts: str) -> list[Path]:
    """What lies in a folder, by name; nothing where it is absent, or not ours to read."""
    try:
        return sorted(Path(*parts).iterdir())
    except OSError:
        return []


def _runs(path: Path) -> bool:
    if shutil.which(str(path)) is None:
        return False
    return (
        subprocess.run([path, "-I", "-S", "-c", "import venv, ctypes"], check=False, capture_output=True).returncode
        == 0
    )
