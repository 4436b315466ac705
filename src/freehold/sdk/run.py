"""Run: an app that runs while a `with` block lasts."""

import contextlib
from typing import TYPE_CHECKING

from freehold.core.errors import Error, InvalidError
from freehold.sdk.context import refuse_in_load
from freehold.sdk.faces import blocking, drive, drive_async

if TYPE_CHECKING:
    from freehold.sdk.app import App
    from freehold.sdk.running import Progress
    from freehold.sdk.tail import Tail


class Run:
    """A running app, as a context manager."""

    def __init__(
        self,
        app: "App",
        *,
        detach: bool,
        progress: "Progress | None",
        replaces: str = "",
        interactive: bool = False,
    ) -> None:
        self._app, self._detach, self._progress = app, detach, progress
        self._replaces = replaces  # id of an app that another process runs: this is its next version
        self._tail: Tail | None = None
        self._interactive = interactive

    def __enter__(self) -> "App":
        return drive(self._start())

    def __exit__(self, *_: object) -> None:
        drive(self._stop())

    async def __aenter__(self) -> "App":
        return await drive_async(self._start())

    async def __aexit__(self, *_: object) -> None:
        await drive_async(self._stop())

    async def _start(self) -> "App":
        refuse_in_load("app.run()")
        if self._app.handle is not None:
            msg = f"{self._app!r} runs already: leave its `with app.run():` block first"
            raise InvalidError(msg)
        mode = "detached" if self._detach else "ephemeral"
        await blocking(self._app._create, mode, self._progress, replaces=self._replaces)
        if self._progress is None and self._app.app_id is not None:
            from freehold.sdk import output

            self._tail = output.tail(self._app.app_id)
        if self._interactive and self._app.app_id is not None:
            from freehold.sdk import client
            from freehold.sdk.terminal import Attached

            await blocking(Attached, self._app.app_id, client.current().api.target)
        return self._app

    async def _stop(self) -> None:
        from freehold.sdk import client, running

        handle = self._app.handle
        self._app._ended()
        if handle is not None and not self._detach:
            # it raises when the server is gone, or has stopped it already; it ends with our link in any case
            with contextlib.suppress(Error):
                await blocking(running.stop, client.current().api, handle.id)
        if self._tail is not None:
            await blocking(self._tail.close)
