"""What the steps of an image are given: local files, secrets and volumes, by the names that the recipe has."""

from pathlib import Path

from freehold.server.services.prepare import Preparer, Secrets, Volumes


class ImageAttachments:
    """The server's side of `launchers.contract.Attachments`, for one workspace."""

    def __init__(self, workspace: str, *, preparer: Preparer, secrets: Secrets, volumes: Volumes) -> None:
        self._workspace, self._preparer, self._secrets, self._volumes = workspace, preparer, secrets, volumes

    async def files(self, digest: str) -> Path:
        return await self._preparer.unpacked(digest)

    async def secret(self, name: str) -> dict[str, str]:
        return await self._secrets.values(self._workspace, name)

    async def volume(self, name: str, *, create: bool) -> Path:
        return await self._volumes.host_path(self._workspace, name, create=create)
