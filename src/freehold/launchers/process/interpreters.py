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
_PYENV = re.compile(r"^3\.(\d+)\.(\d+)$")


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
        for entry in sorted(Path(folder).glob("python3.*")):
            match = _NAME.match(entry.name)
            if match and os.access(entry, os.X_OK) and _runs(entry):
                yield Interpreter(int(match[1]), 0, entry.resolve())


def _of_pyenv() -> Iterator[Interpreter]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for folder in sorted(
        root.glob("versions/3.*"), key=lambda f: [int(n) if n.isdigit() else 0 for n in f.name.split(".")], reverse=True
    ):
        match = _PYENV.match(folder.name)
        if match and (folder / "bin/python3").exists():
            yield Interpreter(int(match[1]), int(match[2]), (folder / "bin/python3").resolve())


def _of_uv() -> Iterator[Interpreter]:
    root = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python")
    for folder in sorted(root.glob("cpython-3.*"), reverse=True):
        match = re.match(r"^cpython-3\.(\d+)\.(\d+)-", folder.name)
        if match and (folder / "bin/python3").exists():
            yield Interpreter(int(match[1]), int(match[2]), (folder / "bin/python3").resolve())


def _runs(path: Path) -> bool:
    if shutil.which(str(path)) is None:
        return False
    return (
        subprocess.run([path, "-I", "-S", "-c", "import venv, ctypes"], check=False, capture_output=True).returncode
        == 0
    )
