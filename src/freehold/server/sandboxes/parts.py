"""What sandboxes are made from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from freehold.core.clock import Clock
from freehold.core.home import Home
from freehold.core.specs import ImageSpec, SecretRef
from freehold.launchers.contract import SandboxLauncher
from freehold.server.dispatch.places import Places
from freehold.server.dispatch.registry import Registry
from freehold.server.logs.service import Logs
from freehold.server.store.contract import Store


class Images(Protocol):
    async def admit(self, workspace: str, spec: ImageSpec) -> ImageSpec: ...
    async def path(self, spec: ImageSpec) -> Path: ...


class Secrets(Protocol):
    async def admit(self, workspace: str, ref: SecretRef, where: str) -> SecretRef: ...
    async def values(self, workspace: str, ref: str) -> dict[str, str]: ...


class Volumes(Protocol):
    async def host_path(
        self, workspace: str, name: str, *, create: bool = False, sub_path: str | None = None
    ) -> Path: ...


class Files(Protocol):
    async def unpacked(self, digest: str) -> Path: ...


@dataclass(kw_only=True)
class SandboxParts:
    """Other services, and the launcher that holds sandboxes."""

    home: Home
    launcher: SandboxLauncher
    registry: Registry
    places: Places
    images: Images
    secrets: Secrets
    volumes: Volumes
    files: Files
    store: Store
    logs: Logs
    clock: Clock
    publish: Callable[..., None]
