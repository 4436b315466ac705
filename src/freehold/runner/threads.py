"""Gives numeric libraries the function's share of cores, after a fork from a parent that ran them with one thread."""

import ctypes
import os
import re
import sys
from collections.abc import Iterator

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_BLAS = re.compile(r"\S*openblas\S*\.so\S*")
_SETTERS = ("openblas_set_num_threads", "scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_", "scipy_openblas_set_num_threads")


def widen(count: int) -> None:
    """Let libraries that are loaded use `count` threads, and those still to come too."""
    for name in VARIABLES:
        os.environ[name] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(count)
    if count > 1 and "numpy" in sys.modules:
        for path in _loaded_blas():
            _set(path, count)


def _loaded_blas() -> Iterator[str]:
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        return iter(set(_BLAS.findall(file.read())))


def _set(path: str, count: int) -> None:
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return
    for name in _SETTERS:
        setter = getattr(library, name, None)
        if setter is not None:
            setter(count)
            return
