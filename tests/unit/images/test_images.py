"""The service of images: what is kept of them, who may delete them, and logs that are followed or read again."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.harness import PlayedLauncher

from freehold.core.clock import SystemClock
from freehold.core.digests import image_digest
from freehold.core.errors import ConflictError, ImageBuildError, InvalidError, NotFoundError, ResourceExhaustedError
from freehold.core.specs import ImageSpec, ImageStep, SecretRef
from freehold.launchers.contract import ImageFacts
from freehold.server.services.images import Images
from freehold.server.store import writes
from freehold.server.store.rows import ImageRow
from freehold.server.store.sqlite import SqliteStore


class Builder(PlayedLauncher):
    """Has images as facts, and builds by writing a line."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.facts = folder, dict[str, ImageFacts]()

    async def ensure_image(self, spec: ImageSpec, log: Callable[[str], None]) -> Path:
        log("building")
        if any(step.kind == "from_scratch" for step in spec.steps):
            raise ImageBuildError("step 1: no")
        self.facts[image_digest(spec)] = ImageFacts(size_bytes=1000, used=500.0)
        return self.folder

    async def image_facts(self, digest: str) -> ImageFacts | None:
        return self.facts.get(digest)

    async def image_log(self, digest: str) -> list[str]:
        return [f"kept of {digest[:4]}"]

    async def delete_image(self, digest: str) -> None:
        self.facts.pop(digest, None)


class Sealing:
    async def admit(self, workspace: str, ref: SecretRef, where: str) -> SecretRef:
        assert workspace in ("main", "main.dev")
        assert where.startswith("Image.")
        return SecretRef(sealed="st-1") if ref.values is not None else ref


class World:
    def __init__(self, store: SqliteStore, folder: Path) -> None:
        self.store, self.launcher, self.users = store, Builder(folder), dict[str, set[str]]()
        self.images = Images(
            launcher=self.launcher, store=store, clock=SystemClock(), secrets=Sealing(), users=lambda: self.users
        )

    async def build(self, *steps: ImageStep) -> str:
        spec = ImageSpec(steps=steps)
        await self.images.ensure("main", spec)
        return image_digest(spec)

    async def names(self) -> list[str]:
        return [view.digest for view in await self.images.list("main")]

    async def log(self, ref: str) -> list[str]:
        return [line async for line in self.images.log(ref)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = SqliteStore(tmp_path / "db")
    await store.open()
    yield World(store, tmp_path)
    await store.close()


def step(kind: str = "env", **args: Any) -> ImageStep:
    return ImageStep(kind=kind, args=args)  # type: ignore[arg-type]


async def test_an_image_is_found_by_its_digest_its_beginning_and_its_id(world: World) -> None:
    digest = await world.build(step(vars={"A": "1"}), step("pip_install", packages=["x" * 500]))
    world.users[digest] = {"demo"}
    for ref in (digest, digest[:8], f"im-{digest[:24]}"):
        view = await world.images.get("main", ref)
        assert (view.digest, view.state, view.size_bytes, view.used, view.apps) == (
            digest,
            "ready",
            1000,
            500.0,
            ("demo",),
        )
    assert (view.id, view.steps[0]) == (f"im-{digest[:24]}", "env(vars={'A': '1'})")
    assert len(view.steps[1]) < 200
    for ref in ("", "im-", digest[:3], "f" * 64):
        with pytest.raises(NotFoundError, match="is none of this server's"):
            await world.images.get("main", ref)


async def test_what_is_used_is_neither_deleted_nor_pruned(world: World) -> None:
    used, spare = await world.build(step(vars={"A": "1"})), await world.build(step(vars={"B": "1"}))
    world.users[used] = {"demo"}
    with pytest.raises(ConflictError, match=r"is used by demo; stop that first"):
        await world.images.delete(used)
    assert (await world.images.prune(unused_s=1e12)).deleted == ()
    pruned = await world.images.prune()
    assert (pruned.deleted, pruned.freed_bytes) == ((spare,), 1000)
    assert await world.names() == [used]
    world.users.clear()
    await world.images.delete(used[:10])
    assert (await world.names(), world.launcher.facts) == ([], {})


async def test_logs_of_builds_that_are_over_are_as_they_were_kept(world: World) -> None:
    digest = await world.build(step(vars={"A": "1"}))
    assert await world.log(digest) == [f"kept of {digest[:4]}"]
    with pytest.raises(NotFoundError):
        await world.log("f" * 64)


async def test_states_are_as_things_are(world: World) -> None:
    with pytest.raises(ImageBuildError):
        await world.build(step("from_scratch"))
    gone = await world.build(step(vars={"A": "1"}))
    world.launcher.facts.clear()
    await world.store.write(writes.put_images([ImageRow("a" * 64, "building", 1.0)]))
    found = {view.digest: (view.state, view.error) for view in await world.images.list("main")}
    failed = image_digest(ImageSpec(steps=(step("from_scratch"),)))
    assert found == {
        failed: ("failed", "step 1: no"), gone: ("deleted", None), "a" * 64: ("failed", "the server ended while it was built"),
    }  # fmt: skip


async def test_secrets_are_sealed_and_ids_are_the_steps_of_their_image(world: World) -> None:
    given: list[dict[str, Any]] = [{"values": {"A": "b"}}, {"name": "kept", "required_keys": []}]
    spec = ImageSpec(steps=(step("from_registry", registry_secrets=given[:1]), step("run_commands", secrets=given)))
    first, second = (await world.images.admit("main", spec)).steps
    assert first.args["registry_secrets"] == [{"sealed": "st-1"}]
    assert second.args["secrets"] == [{"sealed": "st-1"}, {"name": "kept", "required_keys": []}]
    apart = await world.images.admit(
        "main.dev", ImageSpec(steps=(step("run_commands", secrets=given[:1], volumes={"/v": {"name": "v"}}),))
    )
    assert apart.steps[0].args == {
        "secrets": [{"sealed": "st-1", "workspace": "main.dev"}],
        "volumes": {"/v": {"name": "v", "workspace": "main.dev"}},
    }
    digest = await world.build(step(vars={"A": "1"}))
    made = await world.images.admit(
        "main", ImageSpec(steps=(step("from_id", id=f"im-{digest[:24]}"), step("workdir", path="/x")))
    )
    assert [(s.kind, s.args) for s in made.steps] == [("env", {"vars": {"A": "1"}}), ("workdir", {"path": "/x"})]
    with pytest.raises(NotFoundError, match="freehold image list"):
        await world.images.admit("main", ImageSpec(steps=(step("from_id", id="im-" + "f" * 24),)))
    with pytest.raises(InvalidError, match=r"Image.run_commands: secrets: "):
        await world.images.admit("main", ImageSpec(steps=(step("run_commands", secrets=["text"]),)))


async def test_images_have_names(world: World) -> None:
    first, second = await world.build(step(vars={"A": "1"})), await world.build(step(vars={"B": "1"}))
    await world.images.publish("main", first, "tools:latest")
    await world.images.publish("main", first, "tools:v1")
    await world.images.publish("main", second, "tools:latest")
    assert [(await world.images.get("main", name)).digest for name in ("tools:v1", "tools:latest")] == [first, second]
    made = await world.images.admit("main", ImageSpec(steps=(step("from_name", name="tools:v1"),)))
    assert made.steps[0].args == {"vars": {"A": "1"}}
    assert (await world.images.prune()).deleted == ()
    await world.images.delete(first)
    with pytest.raises(NotFoundError, match=r"there is no image 'tools:v1'; did you mean 'tools:latest'\?"):
        await world.images.get("main", "tools:v1")
    with pytest.raises(ImageBuildError):
        await world.build(step("from_scratch"))
    with pytest.raises(ConflictError, match="is failed, not ready"):
        await world.images.publish("main", image_digest(ImageSpec(steps=(step("from_scratch"),))), "tools:v2")
    with pytest.raises(InvalidError):
        await world.images.publish("main", second, "no good:v2")


async def test_what_is_named_in_another_environment_is_not_pruned(world: World) -> None:
    theirs = await world.build(step(vars={"A": "1"}))
    await world.images.publish("main.dev", theirs, "tools:v1")
    assert (await world.images.prune()).deleted == ()
    assert (await world.images.get("main.dev", "tools:v1")).digest == theirs


async def test_names_go_with_their_environment_and_images_stay(world: World) -> None:
    digest = await world.build(step(vars={"A": "1"}))
    for workspace in ("main", "main.dev"):
        await world.images.publish(workspace, digest, "tools:v1")
    await world.images.forget_names("main.dev")
    assert (await world.images.get("main", "tools:v1")).digest == digest
    with pytest.raises(NotFoundError):
        await world.images.get("main.dev", "tools:v1")


async def test_a_build_that_could_not_be_noted_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise ResourceExhaustedError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "write", full)
        with pytest.raises(ResourceExhaustedError):
            await world.build(step(vars={"A": "1"}))
    assert len(await world.build(step(vars={"A": "1"}))) == 64


async def test_nothing_is_kept_in_memory_of_builds_that_are_over(world: World) -> None:
    await world.build(step(vars={"A": "1"}))
    with pytest.raises(ImageBuildError):
        await world.build(step("from_scratch"))
    assert world.images._builds == {}
