"""What stands in for a base image where there are no containers: this machine's own system, with the Python that was asked for.

Only what is no more than a system and a Python has a stand-in (docs/decisions/0009-base-images-on-the-host.md).
"""

import re
from dataclasses import dataclass

from freehold.core.errors import ImageBuildError
from freehold.launchers.process.commands import Host

CONTAINER = "it needs the container launcher; the process launcher has this machine's own system"
_LIBRARY = re.compile(
    r"^(?:(?:docker\.io|registry\.hub\.docker\.com|mirror\.gcr\.io|public\.ecr\.aws/docker)/)?(?:library/)?(?=[^/]+$)"
)
_SYSTEMS = ("debian", "ubuntu", "buildpack-deps")
_CUDA = re.compile(r"^(?:docker\.io/|nvcr\.io/)?nvidia/cuda$")
_UV = re.compile(r"^ghcr\.io/astral-sh/uv$")
_PYTHON = re.compile(r"^(3(?:\.\d+){1,2})(?![\d.])")
_PYTHON_OF_UV = re.compile(r"(?:^|-)python(3\.\d+)(?=-|$)")


@dataclass(frozen=True, kw_only=True)
class Base:
    python: str | None
    note: str


def stand_in(tag: str, add_python: str | None, host: Host, method: str = "from_registry") -> Base:
    """The base for an image of a registry; ImageBuildError where this machine cannot stand in for it."""
    name, version = _split(tag)
    plain = _LIBRARY.sub("", name)
    where = f"Image.{method}({tag!r})"
    if "alpine" in version or "windows" in version:
        raise ImageBuildError(f"{where} is another kind of system than this machine's: {CONTAINER}")
    if plain == "python":
        found = _PYTHON.match(version)
        return _base(where, add_python or (found[1] if found else None))
    if _UV.match(name) and (found := _PYTHON_OF_UV.search(version)):
        return _base(where, add_python or found[1])
    if plain in _SYSTEMS:
        return _base(where, add_python)
    if _CUDA.match(name):
        return _cuda(where, version, add_python, host)
    raise ImageBuildError(f"{where} holds more than a system and a Python: {CONTAINER}")


def _cuda(where: str, version: str, add_python: str | None, host: Host) -> Base:
    if not host.nvidia:
        raise ImageBuildError(
            f"{where} brings CUDA, and this machine has no NVIDIA driver: it needs a machine with one, or the container launcher"
        )
    base = _base(where, add_python)
    lacks = (
        "; nvcc is not on this machine, and steps that compile for CUDA will fail"
        if "devel" in version and not host.nvcc
        else ""
    )
    return Base(python=base.python, note=f"{base.note}. CUDA is what its driver and the Python packages bring{lacks}")


def _base(where: str, python: str | None) -> Base:
    named = f"Python {python}" if python else "its own Python"
    return Base(
        python=python,
        note=f"{where}: this machine's own system stands in for it, with {named}; what else the image holds is not here",
    )


def _split(tag: str) -> tuple[str, str]:
    """Name and tag of an image's reference, without its digest."""
    plain = tag.strip().partition("@")[0]
    head, _, last = plain.rpartition("/")
    name, _, version = last.partition(":")
    return (f"{head}/{name}" if head else name), version
