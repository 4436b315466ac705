"""`enable_output`: what a plain script shows of the apps that it runs. Nothing without it; `freehold run` shows it in its own way."""

import contextlib
import sys
import threading
from collections.abc import Generator

from freehold.protocol import schemas
from freehold.sdk.running import Progress, Silent
from freehold.sdk.tail import Plain, Tail

_SHORT = 12
_enabled: list[bool] = []  # one a block of enable_output that is open, in any thread


@contextlib.contextmanager
def enable_output(show_progress: bool = True) -> Generator[None, None, None]:
    """While the block lasts, apps that are run or deployed show on stderr how they come up, and print what their instances write.

    With `show_progress=False` nothing is shown, as without the block.
    """
    _enabled.append(show_progress)
    try:
        yield
    finally:
        _enabled.remove(show_progress)


def progress() -> Progress:
    """What is told while an app comes up."""
    return _Printed() if _is_on() else Silent()


def tail(app_id: str) -> Tail | None:
    """Begin to print what an app's instances write, if that is wanted."""
    return Tail(app_id, Plain()) if _is_on() else None


def endpoints(app: "schemas.AppHandle") -> list[tuple[str, str]]:
    """Pairs of `function` or `Cls.method` and URL."""
    return [
        (f"{name}.{method}" if method else name, url)
        for name, function in app.functions.items()
        for method, url in function.endpoints.items()
    ]


def _is_on() -> bool:
    return bool(_enabled) and _enabled[-1]


class _Printed:
    """A `Progress` of plain lines."""

    keeps_log = True  # what a build says stays in sight

    def __init__(self) -> None:
        self._building: set[str] = set()
        self._lock = threading.Lock()  # images are built at once

    def uploading(self, files: int, size_bytes: int) -> None:
        _say(f"uploading {files} {'archive' if files == 1 else 'archives'} ({size_bytes / 1024:.0f} KiB)")

    def image_log(self, digest: str, line: str) -> None:
        with self._lock:
            if digest not in self._building:
                self._building.add(digest)
                _say(f"building image {digest[:_SHORT]}")
            _say(f"  {line}")

    def image_ready(self, digest: str, image: "schemas.ImageView") -> None:
        if digest in self._building:
            _say(f"image {image.digest[:_SHORT]} built")

    def created(self, app: "schemas.AppHandle") -> None:
        _say(f"app {app.name} {app.url}")
        for warning in app.warnings:
            _say(f"warning: {warning}")
        for name, url in endpoints(app):
            _say(f"  {name} {url}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
