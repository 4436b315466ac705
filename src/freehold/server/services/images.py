"""Environments: built once a digest, with a log that any number of clients can follow."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from freehold.core.clock import Clock
from freehold.core.digests import image_digest
from freehold.core.environments import MAIN
from freehold.core.errors import ConflictError, Error, InvalidError, NotFoundError
from freehold.core.names import check_name
from freehold.core.specs import ImageSpec, ImageStep, SecretRef
from freehold.core.suggest import did_you_mean
from freehold.launchers.contract import Launcher
from freehold.protocol.schemas import ImageView, PruneResult
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import ImageNameRow, ImageRow

_LOG_LINES_MAX = 20_000
_SHOWN_MAX = 120
_SHORTEST = 6  # of the beginning of a digest


Users = Callable[[], Mapping[str, set[str]]]  # names of apps that run now, by digest of their images


class Secrets(Protocol):
    async def admit(self, workspace: str, ref: SecretRef, where: str) -> SecretRef: ...


class Build:
    """One build under way; who reads it has it to its end."""

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

    def __init__(self, *, launcher: Launcher, store: Store, clock: Clock, secrets: Secrets, users: Users) -> None:
        self._launcher, self._store, self._clock, self._secrets, self._users = launcher, store, clock, secrets, users
        self._reads = Reads(store)
        self._builds: dict[str, Build] = {}
        self._ready: dict[str, Path] = {}

    async def admit(self, workspace: str, spec: ImageSpec) -> ImageSpec:
        """The recipe as it may be kept: secrets that a program gave are sealed, and an image by id or name is the steps of that image."""
        steps: list[ImageStep] = []
        for step in spec.steps:
            if step.kind in ("from_id", "from_name"):
                ref = str(step.args.get("id", ""))
                found = await (self._find(ref) if ref else self._published(workspace, str(step.args.get("name", ""))))
                steps += msgspec.json.decode(found.spec, type=ImageSpec).steps
            else:
                steps.append(await self._sealed(workspace, step))
        return ImageSpec(steps=tuple(steps))

    async def _sealed(self, workspace: str, step: ImageStep) -> ImageStep:
        """The step with its secrets sealed; what it names outside of `main` is named with its workspace."""
        given = {key: step.args[key] for key in ("secrets", "registry_secrets") if step.args.get(key)}
        where = f"Image.{step.kind} {step.args.get('qualname', '')}".rstrip()
        own = {} if workspace == MAIN else {"workspace": workspace}
        kept: dict[str, Any] = {}
        for key, refs in given.items():
            try:
                wanted = msgspec.convert(refs, list[SecretRef])
            except msgspec.ValidationError as error:
                raise InvalidError(f"{where}: {key}: {error}") from None
            kept[key] = [_named(await self._secrets.admit(workspace, ref, where)) | own for ref in wanted]
        volumes: dict[str, dict[str, Any]] = step.args.get("volumes") or {}
        if volumes:
            kept["volumes"] = {path: volume | own for path, volume in volumes.items()}
        return replace(step, args=step.args | kept) if kept else step

    async def path(self, spec: ImageSpec) -> Path:
        """The environment's folder; built first when it is not there."""
        digest = image_digest(spec)
        ready = self._ready.get(digest)
        if ready is not None and _used(ready):
            return ready
        build = self._begin(spec, digest)
        assert build.task is not None
        return await asyncio.shield(build.task)

    async def ensure(self, workspace: str, spec: ImageSpec) -> ImageView:
        """Build it if needed; ImageBuildError names the step that failed."""
        await self.path(spec)
        return await self.get(workspace, image_digest(spec))

    async def list(self, workspace: str) -> list[ImageView]:
        """All images of this machine, the newest first."""
        names = await self._names(workspace)
        return [await self._view(row, names.get(row.digest, ())) for row in await self._reads.images()]

    async def get(self, workspace: str, ref: str) -> ImageView:
        """An image by its digest, the beginning of it, its id or its name, with its steps."""
        names = await self._names(workspace)
        row = await (self._published(workspace, ref) if ":" in ref else self._find(ref))
        return replace(await self._view(row, names.get(row.digest, ())), steps=_steps(row))

    async def publish(self, workspace: str, ref: str, name: str) -> None:
        """Give a built image a name, or take the name from the one that has it."""
        plain, _, tag = name.partition(":")
        check_name(plain, "an image")
        check_name(tag, "the tag of an image")
        row = await self._find(ref)
        if row.state != "ready":
            raise ConflictError(
                f"image {row.digest[:12]} is {row.state}, not ready: only what is built can be published"
            )
        named = ImageNameRow(workspace, name, row.digest, self._clock.now())
        await self._store.write(writes.put_image_names([named]))

    async def log(self, ref: str) -> AsyncIterator[str]:
        """Lines of the build, from its first to its end; of one that is over as they were kept."""
        digest = (await self._find(ref)).digest
        if self._is_building(digest):
            async for line in self.follow(digest):
                yield line
            return
        for line in await self._launcher.image_log(digest):
            yield line

    async def follow(self, digest: str) -> AsyncIterator[str]:
        """Lines of the build that goes on now, from its first to its end."""
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

    async def delete(self, ref: str) -> None:
        """Delete an image; ConflictError when something runs from it or is deployed with it."""
        row = await self._find(ref)
        if users := self._users().get(row.digest):
            apps = ", ".join(sorted(users))
            raise ConflictError(
                f"image {row.digest[:12]} is used by {apps}; stop that first, as with `freehold app stop`"
            )
        if self._is_building(row.digest):
            raise ConflictError(f"image {row.digest[:12]} is being built; wait for its end")
        await self._delete(row.digest)

    async def forget_names(self, workspace: str) -> None:
        """Take back all names that a workspace has given; the images stay."""
        await self._store.write(writes.delete_image_names_of(workspace))

    async def prune(self, *, unused_s: float = 0.0) -> PruneResult:
        """Delete the images that nothing uses, that have no name in any workspace, and from which nothing was started for `unused_s`."""
        used, now = {*self._users(), *await self._reads.named_images()}, self._clock.now()
        deleted: list[str] = []
        freed = 0
        for row in await self._reads.images():
            facts = await self._launcher.image_facts(row.digest)
            if (
                row.digest in used
                or self._is_building(row.digest)
                or now - (facts.used if facts else row.created) < unused_s
            ):
                continue
            await self._delete(row.digest)
            deleted.append(row.digest)
            freed += (facts.size_bytes or 0) if facts else 0
        return PruneResult(deleted=tuple(deleted), freed_bytes=freed)

    # ---- how

    async def _find(self, ref: str) -> ImageRow:
        if (row := await self._reads.image(ref)) is not None:
            return row
        start = ref.removeprefix("im-")
        rows = await self._reads.images()
        found = [row for row in rows if row.digest.startswith(start)] if len(start) >= _SHORTEST else []
        if len(found) != 1:
            why = "is the beginning of several digests; give more of it" if found else "is none of this server's"
            raise NotFoundError(f"image {ref!r} {why}; `freehold image list` shows them")
        return found[0]

    async def _published(self, workspace: str, name: str) -> ImageRow:
        known = {row.name: row.digest for row in await self._reads.image_names(workspace)}
        if name not in known:
            hint = did_you_mean(name, known) or "; publish one with image.build() and image.publish(name)"
            raise NotFoundError(f"there is no image {name!r}{hint}")
        return await self._find(known[name])

    async def _names(self, workspace: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for row in await self._reads.image_names(workspace):
            found[row.digest] = (*found.get(row.digest, ()), row.name)
        return found

    async def _view(self, row: ImageRow, names: Iterable[str]) -> ImageView:
        facts = await self._launcher.image_facts(row.digest)
        state, error = row.state, row.error
        if self._is_building(row.digest):
            state = "building"
        elif state == "building":
            state, error = "failed", "the server ended while it was built"
        elif state == "ready" and facts is None:
            state = "deleted"  # behind our back, or by another server that shares the folder; it is built again when it is needed
        return ImageView(
            digest=row.digest, state=cast("Any", state), created=row.created, build_s=row.build_s, error=error,
            size_bytes=facts.size_bytes if facts else None, used=facts.used if facts else None,
            apps=tuple(sorted(self._users().get(row.digest, ()))), names=tuple(names),
        )  # fmt: skip

    def _is_building(self, digest: str) -> bool:
        return digest in self._builds

    async def _delete(self, digest: str) -> None:
        self._ready.pop(digest, None)
        await self._launcher.delete_image(digest)
        await self._store.write(writes.delete_images([digest]), writes.delete_image_names([digest]))

    def _begin(self, spec: ImageSpec, digest: str) -> Build:
        build = self._builds.get(digest)
        if build is None:
            build = self._builds[digest] = Build()
            build.task = asyncio.create_task(self._build_and_end(spec, digest, build))
        return build

    async def _build_and_end(self, spec: ImageSpec, digest: str, build: Build) -> Path:
        try:
            return await self._build(spec, digest, build)
        finally:
            build.end()
            self._builds.pop(digest, None)  # its lines are kept by the launcher, and by who reads them still

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


def _named(ref: SecretRef) -> dict[str, Any]:
    """A secret in a recipe, which is kept in the clear: never with its values."""
    return {"sealed": ref.sealed} if ref.sealed else {"name": ref.name, "required_keys": list(ref.required_keys)}


def _used(folder: Path) -> bool:
    """Note that an image is used now; False: it is gone."""
    try:
        os.utime(folder)
    except OSError:
        return False
    return True


def _steps(row: ImageRow) -> tuple[str, ...]:
    """The recipe in short: a line a step, without what would fill pages."""
    try:
        steps = msgspec.json.decode(row.spec, type=ImageSpec).steps if row.spec else ()
    except msgspec.MsgspecError:
        return ()
    return tuple(f"{step.kind}({', '.join(_argument(k, v) for k, v in step.args.items() if v)})" for step in steps)


def _argument(name: str, value: Any) -> str:
    shown = repr(value)
    return f"{name}={shown}" if len(shown) <= _SHOWN_MAX else f"{name}={shown[:_SHOWN_MAX]}…"
