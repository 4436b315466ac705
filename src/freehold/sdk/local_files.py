"""What an image's steps read of local files: requirements, a pyproject.toml, a lock file. In an instance there is nothing to read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from freehold.core.errors import InvalidError
from freehold.sdk.context import is_local
from freehold.sdk.steps import Local


def read(path: Local) -> str:
    if not is_local():
        return ""
    try:
        return Path(path).expanduser().read_text()
    except OSError as error:
        msg = f"cannot read {str(path)!r}: {error.strerror}"
        raise InvalidError(msg) from error


def read_if_there(path: Path) -> str | None:
    return read(path) if path.exists() else None


def requirement_lines(path: Local) -> list[str]:
    stripped = (line.split(" #", 1)[0].strip() for line in read(path).splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def toml(path: Local) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(read(path))
    except tomllib.TOMLDecodeError as error:
        msg = f"{str(path)!r} is not TOML: {error}"
        raise InvalidError(msg) from None


def dependencies(pyproject_toml: Local, groups: Sequence[str]) -> list[str]:
    project = toml(pyproject_toml).get("project", {})
    if "dependencies" not in project:
        msg = f"{str(pyproject_toml)!r} has no [project] dependencies; those of [tool.poetry] are installed by poetry_install_from_file"
        raise InvalidError(msg)
    packages: list[str] = list(project["dependencies"])
    optional: dict[str, list[str]] = project.get("optional-dependencies", {})
    for group in groups:
        if group not in optional:
            msg = f"{str(pyproject_toml)!r} has no optional dependencies {group!r}; it has {', '.join(sorted(optional)) or 'none'}"
            raise InvalidError(msg)
        packages += optional[group]
    return packages
