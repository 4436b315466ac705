"""The server: the one place where its parts are wired together, started in order and stopped in reverse."""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets as random
import signal
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO

import uvloop

from freehold import __version__
from freehold.core.clock import SystemClock
from freehold.core.errors import ConflictError, InvalidError
from freehold.core.home import Home
from freehold.core.ids import new_id
from freehold.core.states import AppState, CallState
from freehold.launchers.process.launcher import ProcessLauncher
from freehold.protocol.arena import sweep
from freehold.protocol.frames import Welcome
from freehold.protocol.version import PROTOCOL_VERSION
from freehold.server.dispatch.dispatcher import Dispatcher
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import Registry
from freehold.server.doors import Doors
from freehold.server.events import Events
from freehold.server.link import Links
from freehold.server.machine import survey
from freehold.server.restart import resume_calls
from freehold.server.services.apps import Apps, AppsParts
from freehold.server.services.calls import Calls, CallsParts
from freehold.server.services.images import Images
from freehold.server.services.instances import Instances
from freehold.server.services.prepare import Preparer
from freehold.server.services.status import Status
from freehold.server.settings import Settings
from freehold.server.store import writes
from freehold.server.store.sqlite import SQLiteStore

log = logging.getLogger("freehold.server")
TICK_S = 0.2
RECALL_S = 0.025
LONG_RUNNING_S = 1.0
OVERDUE_SLACK_S = 5.0


class Server:
    """Everything that one `freehold up` runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = Home(settings.home)
        self.clock = SystemClock()
        self.stopping = asyncio.Event()
        self._lock: IO[str] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._close = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Come up: claim the home, open the store, wire the parts, listen, bring back what ran."""
        try:
            await self._start()
        except BaseException:
            await self._close.aclose()
            raise

    async def stop(self) -> None:
        """Go down: take nothing new, end the instances, commit, let the home go."""
        self.home.server_file.unlink(missing_ok=True)
        await self._close.aclose()
