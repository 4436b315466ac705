"""Environments: built once a digest, with a log that any number of clients can follow."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from freehold.core.clock import Clock
from freehold.core.digests import image_digest
from freehold.core.errors import Error, InvalidError, NotFoundError
from freehold.core.specs import ImageSpec, ImageStep, SecretRef
from freehold.launchers.contract import Launcher
from freehold.protocol.schemas import ImageView
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import ImageRow

_LOG_LINES_MAX = 20_000


class Secrets(Protocol):
    async def admit(self, workspace: str, ref: SecretRef, where: str) -> SecretRef: ...


class Build:
    """One build under way, or its end."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.grown = asyncio.Event()
        self.task: asyncio.Task[Path] | None = None
        self.done = False

    def log(self, line: str) -> None:
        if len(self.lines) < _LOG_LINES_MAX:
            self.lines.append(line)
        self._wake()

    def end(self) -> None:
        self.done = True
        self._wake()

    def _wake(self) -> None:
        self.grown.set()
        self.grown = asyncio.Event()


class Images:
    """Image environments of this machine."""

    def __init__(self, *, launcher: Launcher, store: Store, clock: Clock, secrets: Secrets) -> None:
        self._launcher, self._store, self._clock, self._secrets = launcher, store, clock, secrets
        self._reads = Reads(store)
        self._builds: dict[str, Build] = {}
        self._ready: dict[str, Path] = {}

    async def admit(self, workspace: str, spec: ImageSpec) -> ImageSpec:
        """The recipe as it may be kept: the secrets that a program gave to its `run_function` steps are sealed."""
        return ImageSpec(steps=tuple([await self._step(workspace, step) for step in spec.steps]))

    async def _step(self, workspace: str, step: ImageStep) -> ImageStep:
        if not step.args.get("secrets"):
            return step
        where = f"Image.{step.kind} {step.args.get('qualname', '')}".rstrip()
        try:
            given = msgspec.convert(step.args["secrets"], list[SecretRef])
        except msgspec.ValidationError as error:
            raise InvalidError(f"{where}: secrets: {error}") from None
        kept = [await self._secrets.admit(workspace, ref, where) for ref in given]
        return replace(step, args=step.args | {"secrets": [_named(ref) for ref in kept]})

    async def path(self, spec: ImageSpec) -> Path:
        """The environment's folder; built first when it is not there."""
        digest = image_digest(spec)
        ready = self._ready.get(digest)
        if ready is not None and ready.exists():
            return ready
        build = self._begin(spec, digest)
        assert build.task is not None
        return await asyncio.shield(build.task)

    async def ensure(self, _workspace: str, spec: ImageSpec, *, force: bool = False) -> ImageView:
        """Build it if needed; ImageBuildError names the step that failed."""
        digest = image_digest(spec)
        if force:
            self._ready.pop(digest, None)
        await self.path(spec)
        return await self.get(digest)

    async def get(self, digest: str) -> ImageView:
        row = await self._reads.image(digest)
        if row is None:
            raise NotFoundError(f"no image {digest!r}")
        state = row.state if row.state in ("building", "ready", "failed") else "failed"
        return ImageView(digest=row.digest, state=state, created=row.created, build_s=row.build_s, error=row.error)

    async def log(self, digest: str) -> AsyncIterator[str]:
        """Lines of the build, from its first to its end."""
        build = self._builds.get(digest)
        sent = 0
        while build is not None:
            grown = build.grown
            while sent < len(build.lines):
                yield build.lines[sent]
                sent += 1
            if build.done:
                return
            await grown.wait()

    def _begin(self, spec: ImageSpec, digest: str) -> Build:
        build = self._builds.get(digest)
        if build is None or build.done:
            build = self._builds[digest] = Build()
            build.task = asyncio.create_task(self._build(spec, digest, build))
        return build

    async def _build(self, spec: ImageSpec, digest: str, build: Build) -> Path:
        row = ImageRow(digest, "building", self._clock.now(), spec=msgspec.json.encode(spec))
        known = await self._reads.image(digest)
        if known is None or known.state != "ready":
            await self._store.write(writes.put_images([row]))
        begun = time.monotonic()
        try:
            path = await self._launcher.ensure_image(spec, build.log)
        except Error as error:
            await self._store.write(writes.put_images([row._replace(state="failed", error=str(error))]))
            raise
        else:
            if known is None or known.state != "ready" or build.lines:
                await self._store.write(
                    writes.put_images([row._replace(state="ready", build_s=time.monotonic() - begun)])
                )
            self._ready[digest] = path
            return path
        finally:
            build.end()


def _named(ref: SecretRef) -> dict[str, Any]:
    """A secret in a recipe, which is kept in the clear: never with its values."""
    return {"sealed": ref.sealed} if ref.sealed else {"name": ref.name, "required_keys": list(ref.required_keys)}
