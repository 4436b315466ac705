"""An environment of its own for each peer: a venv made by uv on demand, kept by the digest of its pinned requirements."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = Path(os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "freehold-bench")


class InstallError(Exception):
    """An environment could not be made; the message holds what uv said."""


def environment(*names: str, cache: Path = CACHE) -> Path:
    """Return the python of a venv that holds `requirements/NAME.txt` of each name; make it if there is none."""
    files = [HERE / "requirements" / f"{name}.txt" for name in names]
    digest = hashlib.sha256("\n".join([sys.version, *(f.read_text() for f in files)]).encode()).hexdigest()[:12]
    folder = cache / "environments" / f"{'-'.join(names)}-{digest}"
    python = folder / "bin" / "python"
    if (folder / ".done").exists():
        return python
    print(f"installing {' and '.join(names)} into {folder}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _uv("venv", "--quiet", "--python", sys.executable, str(folder))
    _uv("pip", "install", "--quiet", "--python", str(python), *(a for f in files for a in ("--requirement", str(f))))
    (folder / ".done").touch()
    return python


def versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """Versions of installed packages, as their environment tells them."""
    code = "import importlib.metadata as m, sys; print(*(m.version(p) for p in sys.argv[1:]))"
    said = subprocess.run([str(python), "-c", code, *packages], capture_output=True, text=True, check=True).stdout
    return dict(zip(packages, said.split(), strict=True))


def wheel_folders() -> dict[str, str]:
    """Local wheel folders that pip knows, for uv: pip parts them by spaces, uv by commas."""
    folders = os.environ.get("UV_FIND_LINKS") or ",".join(os.environ.get("PIP_FIND_LINKS", "").split())
    return {"UV_FIND_LINKS": folders} if folders else {}


def _uv(*arguments: str) -> None:
    nice = ["nice", "-n", "10"] if shutil.which("nice") else []
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", **wheel_folders()}
    done = subprocess.run([*nice, find_uv_bin(), *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"uv {' '.join(arguments[:2])} failed:\n{done.stderr.strip()[-2000:]}")
