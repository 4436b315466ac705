"""Dicts: what is put is there for its workspace alone, large values in files of their own that come and go with their keys."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from freehold.core.clock import ManualClock
from freehold.core.errors import AlreadyExistsError, DataLossError, InvalidError, NotFoundError, RequestSizeError
from freehold.core.limits import DICT_INLINE_BYTES, DICT_KEY_BYTES, DICT_VALUE_BYTES, LEASE_S
from freehold.protocol.stored import DictEntry, DictRange, DictUpdate, DictValue, NamedRequest
from freehold.server.services.dict_files import BURIED_S, STAGED_S, DictFiles
from freehold.server.services.dicts import Dicts
from freehold.server.store.sqlite import SqliteStore

W = "main"


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock()
        self.store = SqliteStore(folder / "freehold.db")

    async def open(self) -> Dicts:
        await self.store.open()
        self.dicts = Dicts(self.store, DictFiles(self.folder / "dicts", self.clock), self.clock)
        await self.dicts.open()
        return self.dicts

    async def again(self) -> Dicts:
        """As after a restart."""
        await self.store.close()
        return await self.open()

    def files(self) -> list[str]:
        return sorted(p.name for p in (self.folder / "dicts").glob("*/*"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.open()
    yield world
    await world.store.close()


async def named(dicts: Dicts, name: str = "d", workspace: str = W) -> str:
    return (await dicts.create(workspace, NamedRequest(name=name))).id


def put(*pairs: tuple[bytes, bytes], skip: bool = False) -> DictUpdate:
    return DictUpdate(entries=[DictEntry(key=k, value=v) for k, v in pairs], skip_if_exists=skip)


async def pieces(data: bytes, size: int = 1 << 20) -> AsyncIterable[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def test_what_is_put_is_got_counted_and_popped(world: World) -> None:
    dicts = world.dicts
    ref = await named(dicts)
    assert await dicts.update(W, ref, put((b"a", b"1"), (b"b", b"2"), (b"a", b"3")))
    assert await dicts.value(W, ref, b"a") == DictValue(value=b"3")
    assert await dicts.value(W, "d", b"b") == DictValue(value=b"2")  # by its name too
    assert await dicts.value(W, ref, b"c") is None
    assert (await dicts.length(W, ref)).count == 2
    assert await dicts.pop(W, ref, b"a") == DictValue(value=b"3")
    assert await dicts.pop(W, ref, b"a") is None
    assert [e.key for e in (await dicts.page(W, ref, DictRange())).entries] == [b"b"]
    await dicts.clear(W, ref)
    assert (await dicts.length(W, ref)).count == 0


async def test_skip_if_exists_lets_one_of_many_in(world: World) -> None:
    ref = await named(world.dicts)
    created = await asyncio.gather(*[world.dicts.update(W, ref, put((b"k", b"%d" % n), skip=True)) for n in range(50)])
    assert created.count(True) == 1
    assert await world.dicts.value(W, ref, b"k") == DictValue(value=b"%d" % created.index(True))


async def test_one_of_many_pops_a_key(world: World) -> None:
    ref = await named(world.dicts)
    await world.dicts.update(W, ref, put((b"k", b"v")))
    popped = await asyncio.gather(*[world.dicts.pop(W, ref, b"k") for _ in range(50)])
    assert [p for p in popped if p is not None] == [DictValue(value=b"v")]


async def test_a_walk_gives_every_key_once_page_by_page(world: World) -> None:
    ref = await named(world.dicts)
    keys = [b"%04d" % n for n in range(1200)]
    await world.dicts.update(W, ref, put(*[(k, k) for k in keys]))
    for values in (False, True):
        seen, after, more = list[bytes](), b"", True
        while more:
            page = await world.dicts.page(W, ref, DictRange(after=after, values=values))
            seen += [e.key for e in page.entries]
            assert all((e.value == e.key) is values for e in page.entries)
            after, more = seen[-1], page.more
        assert seen == keys


async def test_a_dict_is_of_its_workspace(world: World) -> None:
    ref, theirs = await named(world.dicts), await named(world.dicts, workspace="other")
    await world.dicts.update(W, ref, put((b"k", b"v")))
    assert await world.dicts.value("other", "d", b"k") is None
    for wrong in (
        world.dicts.value("other", ref, b"k"), world.dicts.update("other", ref, put((b"k", b"x"))), world.dicts.pop("other", ref, b"k"),
        world.dicts.length("other", ref), world.dicts.clear("other", ref), world.dicts.delete("other", ref), world.dicts.beat("other", ref),
        world.dicts.page("other", ref, DictRange()), world.dicts.stage("other", ref, pieces(b"x")), world.dicts.open_value("other", ref, "0" * 32),
    ):  # fmt: skip
        with pytest.raises(NotFoundError):
            await wrong
    assert await world.dicts.value(W, ref, b"k") == DictValue(value=b"v")
    assert [v.id for v in await world.dicts.list("other")] == [theirs]


async def test_all_of_a_workspace_can_be_deleted(world: World) -> None:
    kept = await named(world.dicts, workspace="other")
    ids = [await named(world.dicts), await named(world.dicts, "e"), (await world.dicts.create(W, NamedRequest())).id]
    await world.dicts.delete_all(W)
    for ref in ids:
        with pytest.raises(NotFoundError):
            await world.dicts.get(W, ref)
    assert (await world.dicts.get("other", "d")).id == kept


async def test_names(world: World) -> None:
    ref = await named(world.dicts, "settings")
    with pytest.raises(AlreadyExistsError, match="a dict 'settings' already"):
        await world.dicts.create(W, NamedRequest(name="settings"))
    assert (await world.dicts.create(W, NamedRequest(name="settings", allow_existing=True))).id == ref
    with pytest.raises(NotFoundError, match="no dict 'setings'; did you mean 'settings'"):
        await world.dicts.get(W, "setings")
    with pytest.raises(NotFoundError, match="freehold dict create xyz"):
        await world.dicts.get(W, "xyz")
    for bad in ("a/b", "-x", "x" * 65, ref):
        with pytest.raises(InvalidError):
            await world.dicts.create(W, NamedRequest(name=bad))
    made = await asyncio.gather(
        *[world.dicts.create(W, NamedRequest(name="one", allow_existing=True)) for _ in range(20)]
    )
    assert len({view.id for view in made}) == 1


async def test_a_listing_is_newest_first_in_pages(world: World) -> None:
    for n in range(5):
        world.clock.advance(1)
        await named(world.dicts, f"d{n}")
    await world.dicts.create(W, NamedRequest())  # an ephemeral one is in none
    assert [v.name for v in await world.dicts.list(W)] == ["d4", "d3", "d2", "d1", "d0"]
    first = await world.dicts.list(W, limit=2)
    assert [v.name for v in await world.dicts.list(W, before=first[-1].created, limit=2)] == ["d2", "d1"]
    with pytest.raises(InvalidError, match="limit=-1"):
        await world.dicts.list(W, limit=-1)


async def test_after_a_restart_all_is_there(world: World) -> None:
    ref = await named(world.dicts)
    file = await world.dicts.stage(W, ref, pieces(b"x" * 3_000_000))
    await world.dicts.update(
        W, ref, DictUpdate(entries=[DictEntry(key=b"big", file=file), DictEntry(key=b"k", value=b"v")])
    )
    orphan = await world.dicts.stage(W, ref, pieces(b"never named"))
    dicts = await world.again()
    assert await dicts.value(W, ref, b"k") == DictValue(value=b"v")
    assert (await dicts.value(W, ref, b"big")) == DictValue(file=file)
    with await dicts.open_value(W, ref, file) as opened:
        assert opened.read() == b"x" * 3_000_000
    assert world.files() == [file]
    with pytest.raises(InvalidError, match="stands for no value"):
        await dicts.update(W, ref, DictUpdate(entries=[DictEntry(key=b"o", file=orphan)]))


async def test_a_file_goes_some_minutes_after_its_value(world: World) -> None:
    dicts, ref = world.dicts, await named(world.dicts)

    async def large(key: bytes, *, skip: bool = False) -> str:
        file = await dicts.stage(W, ref, pieces(b"large"))
        await dicts.update(W, ref, DictUpdate(entries=[DictEntry(key=key, file=file)], skip_if_exists=skip))
        return file

    replaced, popped, cleared = await large(b"r"), await large(b"p"), await large(b"c")
    refused = await large(b"r", skip=True)
    await dicts.update(W, ref, put((b"r", b"small")))
    found = await dicts.pop(W, ref, b"p")
    await dicts.clear(W, ref)
    kept, unnamed = await large(b"k"), await dicts.stage(W, ref, pieces(b"x"))
    await dicts.sweep()
    assert found == DictValue(file=popped)
    assert world.files() == sorted([replaced, popped, cleared, refused, kept, unnamed])
    world.clock.advance(BURIED_S + 1)
    await dicts.sweep()
    assert world.files() == sorted([kept, unnamed])
    world.clock.advance(STAGED_S)
    await dicts.sweep()
    world.clock.advance(BURIED_S + 1)
    await dicts.sweep()
    assert world.files() == [kept]
    await dicts.delete(W, ref)
    assert world.files() == []


async def test_an_ephemeral_dict_lives_as_long_as_its_client_says(world: World) -> None:
    dicts = world.dicts
    mine, left = [(await dicts.create(W, NamedRequest())).id for _ in range(2)]
    await dicts.update(W, mine, put((b"k", b"v")))
    for _ in range(3):
        world.clock.advance(LEASE_S * 0.7)
        await dicts.beat(W, mine)
        await dicts.sweep()
    with pytest.raises(NotFoundError, match="its client has ended"):
        await dicts.get(W, left)
    world.clock.advance(LEASE_S * 10)  # the server was gone meanwhile
    dicts = await world.again()
    await dicts.sweep()
    assert await dicts.value(W, mine, b"k") == DictValue(value=b"v")
    world.clock.advance(LEASE_S + 1)
    await dicts.sweep()
    with pytest.raises(NotFoundError):
        await dicts.beat(W, mine)
    assert await world.store.read("dict_length", {"dict_id": mine}) == [(0,)]


async def test_a_named_dict_is_not_swept_and_a_deletion_that_broke_off_is_ended(world: World) -> None:
    ref, doomed = await named(world.dicts), await named(world.dicts, "doomed")
    await world.dicts.update(W, doomed, put((b"k", b"v")))
    await world.dicts._named.end(W, doomed)  # and the server dies here
    for asked in (world.dicts.get(W, doomed), world.dicts.value(W, doomed, b"k"), world.dicts.get(W, "doomed")):
        with pytest.raises(NotFoundError):
            await asked
    await world.dicts.create(W, NamedRequest(name="doomed"))
    dicts = await world.again()
    world.clock.advance(1e6)
    await dicts.sweep()
    assert await world.store.read("dict_length", {"dict_id": doomed}) == [(0,)]
    assert {v.name for v in await dicts.list(W)} == {"d", "doomed"}
    assert (await dicts.get(W, ref)).id == ref


async def test_limits_name_the_value_the_limit_and_the_fix(world: World) -> None:
    dicts, ref = world.dicts, await named(world.dicts)
    with pytest.raises(RequestSizeError, match=r"Dict key too big: a key of 65,537 bytes.*65,536; take a digest"):
        await dicts.update(W, ref, put((b"k" * (DICT_KEY_BYTES + 1), b"v")))
    with pytest.raises(RequestSizeError, match="key of 0 bytes"):
        await dicts.update(W, ref, put((b"", b"v")))
    with pytest.raises(RequestSizeError, match="262,145 bytes goes by itself"):
        await dicts.update(W, ref, put((b"k", b"v" * (DICT_INLINE_BYTES + 1))))
    with pytest.raises(RequestSizeError, match="10,001 entries are over the limit of 10,000"):
        await dicts.update(W, ref, put(*[(b"%d" % n, b"") for n in range(10_001)]))
    for entries in ([], [DictEntry(key=b"k")], [DictEntry(key=b"k", value=b"v", file="0" * 32)]):
        with pytest.raises(InvalidError):
            await dicts.update(W, ref, DictUpdate(entries=entries))
    with pytest.raises(RequestSizeError, match=r"over the limit of 104,857,600 bytes.*volume"):
        await dicts.stage(W, ref, pieces(bytes(DICT_VALUE_BYTES + 1), 8 << 20))
    assert world.files() == []
    await dicts.update(W, ref, put((b"k" * DICT_KEY_BYTES, b"v" * DICT_INLINE_BYTES)))
    assert (await dicts.length(W, ref)).count == 1


@pytest.mark.parametrize("file", ["../../freehold.db", "0" * 31, "0" * 32 + "/x", "A" * 32, "\0" * 32, ""])
async def test_a_file_is_nothing_but_a_name(world: World, file: str) -> None:
    ref = await named(world.dicts)
    with pytest.raises(InvalidError):
        await world.dicts.open_value(W, ref, file)
    with pytest.raises(InvalidError):
        await world.dicts.update(W, ref, DictUpdate(entries=[DictEntry(key=b"k", file=file)]))


async def test_a_file_of_another_dict_is_not_taken(world: World) -> None:
    ref, other = await named(world.dicts), await named(world.dicts, "other")
    file = await world.dicts.stage(W, other, pieces(b"theirs"))
    with pytest.raises(InvalidError, match="stands for no value"):
        await world.dicts.update(W, ref, DictUpdate(entries=[DictEntry(key=b"k", file=file)]))
    with pytest.raises(NotFoundError):
        await world.dicts.open_value(W, ref, file)


async def test_a_value_of_which_nobody_knows_whether_it_was_put_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await named(world.dicts)
    transact = world.store.transact

    async def committed_and_failed(step: Any) -> None:
        await transact(step)
        raise DataLossError("the disk failed")

    file = await world.dicts.stage(W, ref, pieces(b"large"))
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "transact", committed_and_failed)
        with pytest.raises(DataLossError):
            await world.dicts.update(W, ref, DictUpdate(entries=[DictEntry(key=b"k", file=file)]))
    world.clock.advance(BURIED_S + 1)
    await world.dicts.sweep()
    assert await world.dicts.value(W, ref, b"k") == DictValue(file=file)
    with await world.dicts.open_value(W, ref, file) as value:
        assert value.read() == b"large"
