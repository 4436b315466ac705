"""Which interpreters are found, and which one an image gets."""

import errno
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.core.errors import ImageBuildError
from freehold.launchers.process import interpreters
from freehold.launchers.process.interpreters import Interpreter


def interpreter(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python3").symlink_to(sys.executable)


def test_installed_ones_are_found_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    for name in ("pyenv/versions/3.90.2", "pyenv/versions/3.90.10", "pyenv/versions/3.9.1", "pyenv/versions/venv"):
        interpreter(tmp_path / name)
    interpreter(tmp_path / "uv/cpython-3.91.0-linux-x86_64-gnu")
    (tmp_path / "uv/cpython-3.92.0-linux-x86_64-gnu").mkdir()
    found = {i.minor: i.patch for i in interpreters.find()}
    assert found == {sys.version_info.minor: sys.version_info.micro, 90: 10, 91: 0}


def test_folders_that_cannot_be_read_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the PATH that `su` leaves."""
    iterdir = Path.iterdir

    def denied(path: Path) -> Iterator[Path]:
        if path.is_relative_to(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", denied)
    for name in ("PATH", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    assert [i.minor for i in interpreters.find()] == [sys.version_info.minor]


HAVE = [Interpreter(11, 7, Path("/p11")), Interpreter(12, 1, Path("/p12")), Interpreter(13, 0, Path("/p13"))]


@pytest.mark.parametrize(("version", "minor", "warns"), [
    (None, 11, False), ("3.12", 12, False), ("3.12.4", 12, False), ("3.14", 13, True), ("3.9", 11, True),
])  # fmt: skip
def test_the_nearest_interpreter(version: str | None, minor: int, warns: bool) -> None:
    chosen, warning = interpreters.choose(version, HAVE)
    assert chosen.minor == minor
    assert bool(warning) is warns


def test_a_version_that_is_none() -> None:
    with pytest.raises(ImageBuildError, match="banana"):
        interpreters.choose("banana", HAVE)
