"""Admission: an app of which nothing can ever run here is refused before anything of it is made; its secrets are sealed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from freehold.core.clock import Clock
from freehold.core.errors import InvalidError, ResourceExhaustedError
from freehold.core.names import check_name
from freehold.core.overrides import Overrides
from freehold.core.placement import Machine, oversize, shortage
from freehold.core.specs import AppSpec, BucketMount, FunctionSpec, SecretRef
from freehold.server.services.images import Images
from freehold.server.services.schedules import check_schedule


class Secrets(Protocol):
    async def admit(self, workspace: str, ref: SecretRef, where: str) -> SecretRef: ...

    async def check(self, workspace: str, ref: SecretRef, where: str) -> None: ...


class Volumes(Protocol):
    async def host_path(
        self, workspace: str, name: str, *, create: bool = False, sub_path: str | None = None
    ) -> Path: ...


class Buckets(Protocol):
    async def admit(self, workspace: str, mount: BucketMount, where: str) -> BucketMount: ...


class Blobs(Protocol):
    def missing(self, digests: list[str]) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """An app as it may be installed."""

    spec: AppSpec  # with its secrets sealed
    warnings: tuple[
        str, ...
    ]  # one for each function that this machine can never run, or only with less than it asks for


class Admission:
    """What this machine and its workspace have, held against what an app asks for."""

    def __init__(
        self, *, machine: Machine, images: Images, secrets: Secrets, volumes: Volumes, buckets: Buckets, blobs: Blobs, clock: Clock
    ) -> None:  # fmt: skip
        self._clock = clock
        self._machine, self._images, self._secrets = machine, images, secrets
        self._volumes, self._buckets, self._blobs = volumes, buckets, blobs

    async def check(self, workspace: str, spec: AppSpec) -> None:
        """Raise what `admit` would, as far as that can be told without files and images; nothing is made."""
        self._whole(spec)
        made = {v.name for f in spec.functions for v in f.volumes if v.create_if_missing or v.ephemeral}
        for function in spec.functions:
            self._itself(function)
            for volume in function.volumes:
                if volume.name not in made:
                    await self._volumes.host_path(workspace, volume.name)
            for ref in (*function.secrets, *(b.secret for b in function.buckets if b.secret is not None)):
                await self._secrets.check(workspace, ref, f"function {function.name!r}")

    async def admit(self, workspace: str, spec: AppSpec) -> Admitted:
        """Raises `InvalidError` for what is wrong in itself, `ResourceExhaustedError` when this machine can run no function of it."""
        warnings = self._whole(spec)
        digests = [m.digest for f in spec.functions for m in f.mounts]
        if gone := self._blobs.missing(digests):
            raise InvalidError(f"{len(gone)} files of the app were not uploaded; the first has digest {gone[0][:12]}")
        functions = tuple([await self._function(workspace, f) for f in spec.functions])
        return Admitted(spec=replace(spec, functions=functions), warnings=warnings)

    async def overrides(self, workspace: str, spec: FunctionSpec, given: Overrides) -> Overrides:
        """What is to override a function that runs, with its secrets sealed. Raises as `admit` does of an app with this function alone."""
        applied = given.applied(spec)
        if lacking := self._lacking(applied):
            raise ResourceExhaustedError(lacking)
        admitted = await self._function(workspace, applied)
        return replace(
            given,
            secrets=None if given.secrets is None else admitted.secrets,
            buckets=None if given.buckets is None else admitted.buckets,
        )

    def beyond(self, spec: FunctionSpec) -> tuple[str, ...]:
        """What it asks for and is given less of."""
        less = oversize(spec.resources, self._machine)
        return (f"function {spec.name!r}: {less}",) if less else ()

    def _whole(self, spec: AppSpec) -> tuple[str, ...]:
        """What the machine lacks for some functions; an error when it can run none of them."""
        names = [f.name for f in spec.functions]
        double = {n for n in names if names.count(n) > 1}
        if double:
            raise InvalidError(
                f"two functions of the app are named {', '.join(sorted(double))!r}; give one of them name="
            )
        lacking = [text for f in spec.functions if (text := self._lacking(f))]
        if lacking and len(lacking) == len(names):
            raise ResourceExhaustedError(lacking[0])
        return (*lacking, *(text for f in spec.functions for text in self.beyond(f)))

    def _lacking(self, spec: FunctionSpec) -> str | None:
        lacking = shortage(spec.resources, self._machine)
        return None if lacking is None else f"function {spec.name!r}: {lacking}"

    def _itself(self, spec: FunctionSpec) -> None:
        check_name(spec.name, "a function")
        check_schedule(spec, self._clock.now())

    async def _function(self, workspace: str, spec: FunctionSpec) -> FunctionSpec:
        self._itself(spec)
        for volume in spec.volumes:
            await self._volumes.host_path(
                workspace,
                volume.name,
                create=volume.create_if_missing or volume.ephemeral,
                sub_path=volume.sub_path,
            )
        where = f"function {spec.name!r}"
        secrets = tuple([await self._secrets.admit(workspace, ref, where) for ref in spec.secrets])
        buckets = tuple([await self._buckets.admit(workspace, mount, where) for mount in spec.buckets])
        image = await self._images.admit(workspace, spec.image)
        await self._images.path(image)
        return replace(spec, secrets=secrets, buckets=buckets, image=image)
