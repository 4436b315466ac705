"""What the steps of an image are given: local files, secrets and volumes, by the names that the recipe has."""

from pathlib import Path

from freehold.server.services.prepare import Preparer, Secrets, Volumes


class ImageAttachments:
    """The server's side of `launchers.contract.Attachments`."""

    def __init__(self, *, preparer: Preparer, secrets: Secrets, volumes: Volumes) -> None:
        self._preparer, self._secrets, self._volumes = preparer, secrets, volumes

    async def files(self, digest: str) -> Path:
        return await self._preparer.unpacked(digest)

    async def secret(self, name: str, *, workspace: str) -> dict[str, str]:
        return await self._secrets.values(workspace, name)

    async def volume(self, name: str, *, workspace: str, create: bool) -> Path:
        return await self._volumes.host_path(workspace, name, create=create)
