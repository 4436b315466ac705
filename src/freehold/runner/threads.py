"""Gives numeric libraries the function's share of cores, after a fork from a parent that ran them with one thread."""

import ctypes
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_BLAS = re.compile(r"\S*openblas\S*\.so\S*")
_SETTERS = (
    "openblas_set_num_threads",
    "scipy_openblas_set_num_threads64_",
    "openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
)


_setters: list[Callable[[int], object]] = []  # found in the warm parent: a look at the memory map is slow


def prepare() -> None:
    """In the warm parent, once the user's code is loaded: find what `widen` will set."""
    if "numpy" in sys.modules:
        _setters.extend(s for s in map(_setter, _loaded_blas()) if s is not None)


def widen(count: int) -> None:
    """Let libraries that are loaded use `count` threads, and those still to come too."""
    for name in VARIABLES:
        os.environ[name] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(count)
    for setter in _setters:
        setter(count)


def _loaded_blas() -> set[str]:
    return set(_BLAS.findall(Path("/proc/self/maps").read_text(errors="replace")))


def _setter(path: str) -> Callable[[int], object] | None:
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return None
    return next((getattr(library, name) for name in _SETTERS if hasattr(library, name)), None)
