"""What is shown on stderr while an app comes up: uploads, image builds with their log, endpoints."""

import time
from typing import TYPE_CHECKING

from freehold.cli.output import note, size, stderr
from freehold.protocol import schemas
from freehold.sdk.output import endpoints

if TYPE_CHECKING:
    from rich.status import Status

_SHORT = 12


class Shown:
    """A `Progress` for people: one moving line on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._building: dict[str, float] = {}

    @property
    def keeps_log(self) -> bool:
        return not stderr().is_terminal

    def uploading(self, files: int, size_bytes: int) -> None:
        note(f"uploading {files} {'archive' if files == 1 else 'archives'} ({size(size_bytes)})")

    def image_log(self, digest: str, line: str) -> None:
        if digest not in self._building:
            self._building[digest] = time.monotonic()
            note(f"building image {digest[:_SHORT]}")
        if stderr().is_terminal:
            self._tick(f"building image {digest[:_SHORT]}: {line[:100]}")
        else:
            note(f"  {line}")

    def image_ready(self, digest: str, image: "schemas.ImageView") -> None:
        begun = self._building.pop(digest, None)
        if begun is not None:
            stderr().print(f"[green]✓[/green] image {image.digest[:_SHORT]} built in {time.monotonic() - begun:.1f} s")
        if not self._building:
            self.end()

    def created(self, app: "schemas.AppHandle") -> None:
        self.end()
        stderr().print(f"[green]✓[/green] app [bold]{app.name}[/bold] {app.url}", soft_wrap=True)
        for warning in app.warnings:
            stderr().print(f"[yellow]warning:[/yellow] {warning}", soft_wrap=True)
        for name, url in endpoints(app):
            stderr().print(f"  [bold]{name}[/bold] {url}", soft_wrap=True)

    def end(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _tick(self, words: str) -> None:
        if self._status is None:
            self._status = stderr().status("")
            self._status.start()
        self._status.update(words.replace("[", "\\["))
