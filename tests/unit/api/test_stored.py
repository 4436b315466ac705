"""Dicts and queues over HTTP: msgpack bodies, statuses, waits that end with their callers, bodies that are none."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.unit.api.conftest import FOREIGN_TOKEN, INSTANCE_TOKEN, World
from tests.unit.server.harness import until

from freehold.protocol.stored import (
    DictEntry,
    DictFound,
    DictKey,
    DictPage,
    DictRange,
    DictUpdate,
    DictUpdated,
    DictValue,
    QueueGet,
    QueueItems,
    QueuePart,
    QueuePut,
    QueueScan,
    QueueScanned,
    QueueTaken,
)

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
BYTES = {"content-type": "application/msgpack"}


@pytest.fixture
async def stored(world: World) -> AsyncIterator[World]:
    await world.store.open()
    await world.dicts.open()
    await world.queues.open()
    yield world
    await world.queues.close()
    await world.store.close()


async def test_a_dict_over_http(stored: World) -> None:
    async with stored.client() as client:
        made = await client.post("/v1/dicts", json={"name": "d"})
        assert made.status_code == 201
        at = f"/v1/dicts/{made.json()['id']}"
        assert (await client.post("/v1/dicts", json={"name": "d"})).status_code == 409
        again = await client.post("/v1/dicts", json={"name": "d", "allow_existing": True})
        assert again.json() == made.json() == (await client.get("/v1/dicts/d")).json()
        update = DictUpdate(entries=[DictEntry(key=b"k", value=b"v"), DictEntry(key=b"l", value=b"")])
        put = await client.post(f"{at}/update", content=pack(update))
        assert put.headers["content-type"] == "application/msgpack"
        assert unpack(put.content, type=DictUpdated).created
        found = await client.post("/v1/dicts/d/get", content=pack(DictKey(key=b"k")))
        assert unpack(found.content, type=DictFound).entry == DictValue(value=b"v")
        there = [await client.post(f"{at}/contains", content=pack(DictKey(key=key))) for key in (b"l", b"m")]
        assert [unpack(one.content, type=DictFound).entry is not None for one in there] == [True, False]
        page = unpack((await client.post(f"{at}/items", content=pack(DictRange()))).content, type=DictPage)
        assert [(e.key, e.value) for e in page.entries] == [(b"k", b"v"), (b"l", b"")]
        assert (await client.get(f"{at}/len")).json() == {"count": 2}
        popped = await client.post(f"{at}/pop", content=pack(DictKey(key=b"k")))
        assert unpack(popped.content, type=DictFound).entry == DictValue(value=b"v")
        file = (await client.post(f"{at}/values", content=b"large" * 1000)).json()["file"]
        await client.post(f"{at}/update", content=pack(DictUpdate(entries=[DictEntry(key=b"f", file=file)])))
        assert (await client.get(f"{at}/values/{file}")).content == b"large" * 1000
        assert (
            (await client.post(f"{at}/clear")).status_code == (await client.post(f"{at}/heartbeat")).status_code == 204
        )
        assert (await client.delete("/v1/dicts/d")).status_code == 204
        assert (await client.get(at)).status_code == (await client.post(f"{at}/heartbeat")).status_code == 404
        assert (await client.get("/v1/dicts")).json() == []


async def test_a_queue_over_http(stored: World) -> None:
    async with stored.client() as client:
        at = f"/v1/queues/{(await client.post('/v1/queues', json={'name': 'q'})).json()['id']}"

        async def ask(verb: str, body: Any, kind: Any) -> Any:
            answer = await client.post(f"{at}/{verb}", content=pack(body))
            assert answer.status_code == 200, answer.text
            return unpack(answer.content, type=kind)

        assert (await ask("put", QueuePut(items=[b"1", b"2"], partition=b"p\0"), QueueTaken)).accepted
        assert [v for _, v in (await ask("items", QueueScan(partition=b"p\0"), QueueScanned)).items] == [b"1", b"2"]
        assert (await client.post(f"{at}/len", content=pack(QueuePart(all=True)))).json() == {"count": 2}
        shown = (await client.get("/v1/queues")).json()[0]
        assert (shown["partitions"], shown["items"]) == (1, 2)
        assert (await ask("get", QueueGet(partition=b"p\0", count=5), QueueItems)).items == [b"1", b"2"]
        assert (await ask("get", QueueGet(wait_s=0.01), QueueItems)).items == []
        waiting = asyncio.ensure_future(ask("get", QueueGet(wait_s=20), QueueItems))
        await until(lambda: stored.queues._arrivals._places)
        await ask("put", QueuePut(items=[b"3"]), QueueTaken)
        assert (await asyncio.wait_for(waiting, 20)).items == [b"3"]
        await ask("put", QueuePut(items=[b"x"]), QueueTaken)
        assert (await client.post(f"{at}/clear", content=pack(QueuePart(all=True)))).status_code == 204
        assert (await client.delete(at)).status_code == 204
        assert (await client.post(f"{at}/put", content=pack(QueuePut(items=[b"1"])))).status_code == 404


async def test_an_instance_uses_them_and_one_of_another_workspace_finds_none(stored: World) -> None:
    async with stored.client(INSTANCE_TOKEN) as client:
        at = f"/v1/dicts/{(await client.post('/v1/dicts', json={'name': 'd'})).json()['id']}"
        update = pack(DictUpdate(entries=[DictEntry(key=b"k", value=b"v")]))
        assert (await client.post(f"{at}/update", content=update)).status_code == 200
    async with stored.client(FOREIGN_TOKEN) as client:
        assert (await client.get("/v1/dicts")).json() == []
        for call in (client.get(at), client.delete(at), client.post(f"{at}/update", content=update)):
            assert (await call).status_code == 404


BODIES = {
    "nothing": b"", "no msgpack": b"\xc1", "cut off": pack({"key": b"k"})[:-1], "json": b'{"key": "k"}', "a list": pack([1, 2]),
    "nested": b"\x91" * 9_000, "a text for a key": pack({"key": "k"}), "a field too many": pack({"key": b"k", "x": 1}),
    "a pickle": b"\x80\x05cos\nsystem\n(S'true'\ntR.", "a number for all": pack({"entries": 1, "items": 1, "partition": 1, "after": "x"}),
    "not a time": pack({"items": [b"x"], "ttl_s": "long", "wait_s": []}), "endless": pack({"items": [b"x"], "ttl_s": float("inf")}),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_garbage_is_refused_with_what_is_wrong_and_nothing_is_stored(stored: World, body: bytes) -> None:
    async with stored.client() as client:
        for noun, verbs in (
            ("dicts", ("get", "contains", "update", "pop", "items")),
            ("queues", ("put", "get", "items")),
        ):
            at = f"/v1/{noun}/{(await client.post(f'/v1/{noun}', json={'name': 'x'})).json()['id']}"
            for verb in verbs:
                answer = await client.post(f"{at}/{verb}", content=body, headers=BYTES)
                assert answer.status_code == 400, (verb, answer.text)
                assert answer.json()["error"]["message"]
        assert (await client.get("/v1/dicts/x/len")).json() == {"count": 0}
        assert (await client.get("/v1/queues/x")).json()["items"] == 0


async def test_random_bytes_never_break_the_server(stored: World) -> None:
    dice = random.Random(11)
    async with stored.client() as client:
        await client.post("/v1/dicts", json={"name": "x"})
        await client.post("/v1/queues", json={"name": "x"})
        for _ in range(200):
            path = dice.choice(
                (
                    "dicts/x/get",
                    "dicts/x/update",
                    "dicts/x/pop",
                    "dicts/x/items",
                    "queues/x/put",
                    "queues/x/get",
                    "queues/x/len",
                )
            )
            answer = await client.post(f"/v1/{path}", content=dice.randbytes(dice.randrange(40)))
            assert answer.status_code < 500, answer.text


async def test_a_body_over_the_limit_is_413(stored: World) -> None:
    async with stored.client() as client:
        await client.post("/v1/dicts", json={"name": "x"})
        answer = await client.post("/v1/dicts/x/get", content=pack(DictKey(key=b"k" * 20_000)))
    assert answer.status_code == 413


async def test_the_document_tells_of_msgpack(stored: World) -> None:
    async with stored.client() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        page = (await client.get("/docs")).text
    put = paths["/v1/queues/{queue}/put"]["post"]
    assert put["requestBody"]["content"]["application/msgpack"]["schema"]["$ref"].endswith("/QueuePut")
    assert "application/msgpack" in put["responses"]["200"]["content"]
    assert "application/json" in paths["/v1/dicts"]["post"]["requestBody"]["content"]
    assert "QueuePut" in page
