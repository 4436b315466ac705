"""Everything that an instance needs before it starts: image, unpacked files, volumes, secrets, environment."""

import asyncio
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

import msgspec

from freehold.core.digests import image_digest, image_id
from freehold.core.environments import environment_of
from freehold.core.errors import DataLossError
from freehold.core.home import Home
from freehold.core.specs import BucketMount, FunctionSpec, SecretRef, VolumeMount
from freehold.launchers.contract import StartRequest
from freehold.protocol.schemas import FunctionHandle
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.registry import LiveFunction, Registry
from freehold.server.services.images import Images


class Blobs(Protocol):
    def path(self, digest: str) -> Path: ...


class Volumes(Protocol):
    async def host_path(
        self, workspace: str, name: str, *, create: bool = False, sub_path: str | None = None
    ) -> Path: ...


class Buckets(Protocol):
    async def attach(
        self, workspace: str, instance: str, mounts: Sequence[BucketMount]
    ) -> list[tuple[Path, str, bool]]: ...
    def release(self, instance: str) -> None: ...


class Secrets(Protocol):
    async def values(self, workspace: str, ref: str) -> dict[str, str]: ...


class Preparer:
    """Turns a spec into a `StartRequest`."""

    def __init__(
        self, *, home: Home, images: Images, blobs: Blobs, volumes: Volumes, buckets: Buckets, secrets: Secrets, registry: Registry,
        lease_s: float,
    ) -> None:  # fmt: skip
        self._home, self._images, self._blobs, self._volumes, self._secrets = home, images, blobs, volumes, secrets
        self._registry, self._buckets, self._lease_s = registry, buckets, lease_s
        self._unpacking: dict[str, asyncio.Task[Path]] = {}

    async def prepare(self, instance: Instance) -> StartRequest:
        pool = instance.pool
        spec: FunctionSpec = pool.spec
        begun = time.monotonic()
        image = await self._images.path(spec.image)
        instance.phases["image"] = time.monotonic() - begun
        mounts = [(await self.unpacked(m.digest), m.remote_path) for m in spec.mounts]
        volumes = [await self._volume(pool.workspace, v) for v in spec.volumes]
        volumes += await self._buckets.attach(pool.workspace, instance.id, spec.buckets)
        folder = self._home.instances / instance.id
        folder.mkdir(parents=True, exist_ok=True)
        return StartRequest(
            instance=instance.id,
            token=instance.token,
            pool=pool.key,
            app_id=pool.app_id,
            app=pool.app_name,
            function_id=pool.function_id,
            spec=spec,
            parameters=pool.parameters,
            image=image,
            mounts=tuple(mounts),
            volumes=tuple(volumes),
            env=await self._env(instance),
            output=folder / "output",
            lease_s=self._lease_s,
            link=self._home.link_socket,
            api=self._home.api_socket,
            arena=self._home.arena,
            devices=tuple(d.id for d in instance.devices),
            cpu=spec.resources.cpu or 0.125,
            cpu_limit=spec.resources.cpu_limit,
            memory_limit_mib=spec.resources.memory_limit_mib,
        )

    def release(self, instance: Instance) -> None:
        """The instance is gone."""
        self._buckets.release(instance.id)

    async def unpacked(self, digest: str) -> Path:
        """The folder of a tar of local files; unpacked once, whole or not at all."""
        tar = self._blobs.path(digest)  # first: it refuses what is no digest, and could name any folder
        target = self._home.mounts / digest
        if target.exists():
            return target
        task = self._unpacking.get(digest)
        if task is None:
            task = self._unpacking[digest] = asyncio.create_task(asyncio.to_thread(_unpack, tar, target))
            task.add_done_callback(lambda _: self._unpacking.pop(digest, None))
        return await asyncio.shield(task)

    async def _volume(self, workspace: str, mount: VolumeMount) -> tuple[Path, str, bool]:
        path = await self._volumes.host_path(
            workspace, mount.name, create=mount.create_if_missing or mount.ephemeral, sub_path=mount.sub_path
        )
        return path, mount.path, mount.read_only

    async def _env(self, instance: Instance) -> dict[str, str]:
        pool = instance.pool
        env: dict[str, str] = {}
        for ref in pool.spec.secrets:
            env |= await self._secrets.values(pool.workspace, _secret(ref))
        env |= pool.spec.env
        app = self._registry.apps.get(pool.app_id)
        handles = {f.name: handle(f) for f in app.functions.values()} if app else {}
        cores = os.cpu_count() or 1
        threads = str(max(1, min(cores, round(pool.spec.resources.cpu or cores))))
        real = [str(d.index) for d in instance.devices if not d.simulated]
        return env | {
            "FREEHOLD_LINK": f"unix:{self._home.link_socket}",
            "FREEHOLD_API": f"unix:{self._home.api_socket}",
            "FREEHOLD_TOKEN": instance.token,
            "FREEHOLD_INSTANCE_ID": instance.id,
            "FREEHOLD_APP_ID": pool.app_id,
            "FREEHOLD_APP_NAME": pool.app_name,
            "FREEHOLD_FUNCTION": pool.function_name,
            "FREEHOLD_FUNCTIONS": msgspec.json.encode(handles).decode(),
            "FREEHOLD_REMOTE": "1",
            "FREEHOLD_VOLUMES": msgspec.json.encode({v.path: v.name for v in pool.spec.volumes}).decode(),
            "FREEHOLD_DEVICES_GIVEN": ",".join(f"{d.type}:{d.id}" for d in instance.devices),
            "CUDA_VISIBLE_DEVICES": ",".join(real),
            "OMP_NUM_THREADS": env.get("OMP_NUM_THREADS", threads),
            "MKL_NUM_THREADS": env.get("MKL_NUM_THREADS", threads),
            "OPENBLAS_NUM_THREADS": env.get("OPENBLAS_NUM_THREADS", threads),
            "MODAL_TASK_ID": instance.id,
            "MODAL_IS_REMOTE": "1",
            "MODAL_ENVIRONMENT": environment_of(pool.workspace),
            "MODAL_IMAGE_ID": image_id(image_digest(pool.spec.image)),
            "MODAL_CLOUD_PROVIDER": "local",
            "MODAL_REGION": "local",
        }


def handle(function: LiveFunction) -> FunctionHandle:
    """A function as clients address it."""
    spec = function.spec
    return FunctionHandle(
        id=function.id,
        name=function.name,
        endpoints=function.endpoints,
        is_generator=spec.is_generator,
        methods=tuple(m.name for m in spec.methods),
        parameters=spec.parameters,
    )


def _secret(ref: SecretRef) -> str:
    return ref.sealed or ref.name or ""


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    """Write one file of a client's tar beneath `root`. Clients send plain files only, so there is no link to follow.

    By hand, since `extractall(filter="data")` came with Python 3.11.4, and Debian 12 has 3.11.2.
    """
    name = PurePosixPath(member.name)
    if not member.isreg() or name.is_absolute() or ".." in name.parts or not name.parts:
        raise tarfile.TarError(f"{member.name!r} is not a plain file beneath its folder")
    content = archive.extractfile(member)
    assert content is not None
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        shutil.copyfileobj(content, file)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _unpack(tar: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unpack-"))
    try:
        with tarfile.open(tar) as archive:
            for member in archive:
                _extract(archive, member, scratch)
        scratch.chmod(0o755)
        scratch.rename(target)
    except (tarfile.TarError, EOFError) as error:
        raise DataLossError(f"the files of digest {target.name[:12]} cannot be unpacked: {error}") from error
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target
