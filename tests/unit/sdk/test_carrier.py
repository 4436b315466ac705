"""Large pieces of payloads: shared memory and blobs."""

import gc
from pathlib import Path

import numpy as np
import pytest
from tests.unit.sdk.fake_server import FakeServer, until

import freehold
from freehold.protocol.arena import Arena
from freehold.protocol.frames import Input, Payload
from freehold.sdk import client as clients
from freehold.sdk.carrier import Blobs, Shared
from freehold.sdk.client import Client
from freehold.sdk.http import Api
from freehold.sdk.serialization import dumps, loads

app = freehold.App("large")
array = np.arange(100_000, dtype=np.float64)


@app.function()
def double(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return values * 2


@pytest.fixture
def released() -> list[str]:
    return []


@pytest.fixture
def ours(tmp_path: Path, server: FakeServer, released: list[str]) -> Shared:
    return Shared(Arena(tmp_path, "cl-1"), Api(server.target), released.extend)


def theirs(folder: Path) -> Shared:
    return Shared(Arena(folder, "in-1"), Api(clients.current().target), lambda _: None)


def test_arrays_ride_in_shared_memory(ours: Shared, tmp_path: Path) -> None:
    payload = dumps(array, sink=ours)
    assert [b.kind for b in payload.buffers] == ["arena"]
    seen = loads(payload, source=theirs(tmp_path))
    assert (seen == array).all()
    seen[0] = 7  # the receiver's to change
    first = payload.buffers[0].segment
    ours.answered([Input(0, payload)])
    assert dumps(array, sink=ours).buffers[0].segment == first  # free, and used again
    ours.close()
    assert not list(tmp_path.iterdir())


def test_what_is_still_looked_at_is_not_used_again(ours: Shared) -> None:
    payload = dumps(array, sink=ours)
    name = payload.buffers[0].segment
    ours.answered([Input(0, payload)], keep=[name])
    assert dumps(array, sink=ours).buffers[0].segment != name
    ours.close()


def test_a_result_is_released_when_nothing_looks_at_it(ours: Shared, tmp_path: Path, released: list[str]) -> None:
    sender = theirs(tmp_path)
    result = loads(dumps(array, sink=sender), source=ours)
    part = result[10:]
    del result
    gc.collect()
    assert released == []
    assert part[0] == 10
    del part
    gc.collect()
    assert len(released) == 1
    ours.unseen(dumps(array, sink=sender))
    assert len(released) == 2


def test_a_result_that_is_kept_is_copied(ours: Shared, tmp_path: Path, released: list[str]) -> None:
    payload = ours.inlined(dumps(array, sink=theirs(tmp_path)))
    assert [b.kind for b in payload.buffers] == ["inline"]
    assert len(released) == 1
    assert (loads(payload) == array).all()


def test_without_shared_memory_large_pieces_are_blobs(server: FakeServer) -> None:
    blobs = Blobs(Api(server.target), least_bytes=1000)
    payload = dumps({"a": array, "b": "x" * 2000}, sink=blobs)
    assert [b.kind for b in payload.buffers] == ["blob"]
    assert payload.blob
    assert len(server.blobs) == 2
    back = loads(payload, source=blobs)
    assert (back["a"] == array).all()
    back["a"][0] = 1
    dumps({"a": array, "b": "x" * 2000}, sink=blobs)
    assert len(server.blobs) == 2  # what is there is not sent again
    assert isinstance(payload, Payload)


def test_calls_use_the_arena_of_their_machine(server: FakeServer, tmp_path: Path) -> None:
    server.arena = str(tmp_path)
    clients.use(client := Client(server.target))
    with app.run():
        assert (double.remote(array) == array * 2).all()
        assert (double.spawn(array).get() == array * 2).all()
        assert [b.kind for s in server.submits for i in s.inputs for b in i.payload.buffers] == ["arena", "inline"]
        results = list(double.map([array] * 3))
        assert all((r == array * 2).all() for r in results)
    client.close()
    until(lambda: not list(tmp_path.iterdir()))
