"""Secrets and volumes."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SecretRequest:
    values: dict[str, str]
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class SecretView:
    """A secret's keys; its values never leave the server but into instances."""

    name: str
    keys: tuple[str, ...]
    created: float
    updated: float
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class SecretUpdate:
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class VolumeView:
    name: str
    created: float
    id: str = ""
    bytes: int | None = None
    files: int | None = None


@dataclass(frozen=True, kw_only=True)
class RenameRequest:
    name: str


@dataclass(frozen=True, kw_only=True)
class CopyRequest:
    """As `cp SOURCES TARGET` within one volume."""

    sources: tuple[str, ...]
    target: str
    recursive: bool = False


FileKind = Literal["file", "directory", "link", "fifo", "socket"]


@dataclass(frozen=True, kw_only=True)
class FileView:
    path: str  # relative to the volume's root
    type: FileKind
    bytes: int
    modified: float
    executable: bool = False
