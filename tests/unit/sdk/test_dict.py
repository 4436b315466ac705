"""Dict, both faces, against a real server in this process."""

import asyncio
import pickle
import threading
import time
from typing import Any

import numpy as np
import pytest
from tests.e2e.harness import wait_for
from tests.unit.sdk.stored_server import StoredServer

import freehold
from freehold.core.errors import (
    AlreadyExistsError,
    ConnectionError,
    DeprecationError,
    DeserializationError,
    InvalidError,
    NotFoundError,
    RequestSizeError,
    SerializationError,
)
from freehold.sdk import client
from freehold.sdk import dict as module
from freehold.sdk.dict import unread_items
from freehold.sdk.serialization import dump_key, load_key


@pytest.fixture
def d(stored: StoredServer) -> freehold.Dict:
    return freehold.Dict.from_name("settings", create_if_missing=True)


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    def __hash__(self) -> int:
        return self.x


def test_it_is_used_as_a_dict(d: freehold.Dict) -> None:
    d["a"] = {"x": [1, 2]}
    d[3] = None
    d["point", 1] = Point(7)
    assert (d["a"], d[3], d[("point", 1)]) == ({"x": [1, 2]}, None, Point(7))
    assert (3 in d, 4 in d, d.contains("a")) == (True, False, True)
    assert d.len() == 3
    del d["a"]
    with pytest.raises(KeyError, match="a not in Dict 'settings'"):
        d["a"]
    with pytest.raises(KeyError):
        del d["a"]
    assert d.get("a") is None
    assert d.get("a", 5) == d.pop("a", 5) == 5
    assert d.pop(3, 5) is None
    with pytest.raises(KeyError):
        d.pop(3)


def test_put_update_and_the_iterators(d: freehold.Dict) -> None:
    assert d.put("k", 1)
    assert d.put("k", 2)
    assert not d.put("k", 3, skip_if_exists=True)
    assert d.put("l", 4, skip_if_exists=True)
    d.update({"m": 5, 6: 7}, n=8)
    d.update()
    d.update({})
    expected: dict[Any, Any] = {"k": 2, "l": 4, "m": 5, 6: 7, "n": 8}
    assert dict(d.items()) == expected
    assert set(d.keys()) == set(expected)
    assert sorted(d.values()) == sorted(expected.values())
    some = d.items()
    next(some)
    some.close()
    d.clear()
    assert (d.len(), list(d.keys())) == (0, [])


def test_many_entries_come_in_pages(d: freehold.Dict) -> None:
    d.update({n: str(n) for n in range(700)})
    assert dict(d.items()) == {n: str(n) for n in range(700)}
    assert sorted(d.keys()) == list(range(700))


async def test_the_async_face(stored: StoredServer) -> None:
    d = await freehold.Dict.from_name("a", create_if_missing=True).hydrate.aio()
    assert await d.put.aio("k", 1)
    await d.update.aio({"l": 2})
    assert [await d.get.aio("k"), await d.contains.aio("x"), await d.len.aio(), await d.pop.aio("l")] == [
        1,
        False,
        2,
        2,
    ]
    assert [pair async for pair in d.items.aio()] == [("k", 1)]
    assert [key async for key in d.keys.aio()] == ["k"]
    assert [value async for value in d.values.aio()] == [1]
    results = await asyncio.gather(*[d.put.aio("once", n, skip_if_exists=True) for n in range(40)])
    assert results.count(True) == 1
    await d.clear.aio()
    assert await d.len.aio() == 0


def test_large_values_and_arrays_come_back_as_they_were(d: freehold.Dict, stored: StoredServer) -> None:
    array = np.arange(500_000, dtype=np.float64)
    d["array"], d["bytes"], d["small"] = array, b"x" * 3_000_000, np.arange(3)
    assert np.array_equal(d["array"], array)
    assert d["bytes"] == b"x" * 3_000_000
    assert d["small"].sum() == 3
    assert {len(v) for v in d.values()} == {500_000, 3_000_000, 3}
    assert np.array_equal(d.pop("array"), array)
    assert not d.put("bytes", b"y" * 3_000_000, skip_if_exists=True)
    d["bytes"] = b"small now"
    assert d["bytes"] == b"small now"


def copy(text: str) -> str:
    """Another object."""
    return "".join(list(text))


def test_equal_keys_are_one_key_whichever_objects_they_are(d: freehold.Dict) -> None:
    word = "word"
    d[word, word] = 1
    d[copy(word), copy(word)] = 2
    d[("a", (1, 2.5, None, b"x"))] = 3
    assert d.len() == 2
    assert d[copy(word), word] == 2
    assert d["a", (1, 2.5, None, bytes(bytearray(b"x")))] == 3
    assert load_key(dump_key(frozenset([1]))) == frozenset([1])
    assert dump_key(("x" * 300, "x" * 300)) == dump_key(("x" * 300, copy("x" * 300)))


def test_a_key_or_value_that_cannot_be_pickled_is_named(d: freehold.Dict) -> None:
    with pytest.raises(SerializationError, match=r"the key cannot be pickled: .*lock"):
        d[threading.Lock()] = 1
    with pytest.raises(SerializationError, match=r"the value of 'k' cannot be pickled: its \['lock'\]"):
        d["k"] = {"lock": threading.Lock()}
    with pytest.raises(SerializationError):
        d.update({"fine": 1, "not": threading.Lock()})
    assert d.len() == 0


def test_limits_are_told_before_anything_is_sent(d: freehold.Dict, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RequestSizeError, match=r"Dict key too big: 'xxx.*… has 70,0\d\d bytes when pickled, and a key up to 65,536"
    ):
        d["x" * 70_000] = 1
    monkeypatch.setattr(module, "DICT_VALUE_BYTES", 1000)
    with pytest.raises(RequestSizeError, match=r"the value of 'k' has 2,0\d\d bytes when pickled.*Volume"):
        d["k"] = b"x" * 2000
    with pytest.raises(RequestSizeError, match="10,001 entries is over the limit of 10,000"):
        d.update({n: n for n in range(10_001)})
    monkeypatch.setattr(module, "REQUEST_BYTES", 1000)
    with pytest.raises(RequestSizeError, match="update in several calls"):
        d.update(dict.fromkeys(range(10), b"x" * 300))
    assert d.len() == 0
    assert issubclass(RequestSizeError, InvalidError)


def test_handles_are_lazy_and_cross_by_name_or_id(stored: StoredServer) -> None:
    missing = freehold.Dict.from_name("missing")
    assert (missing.name, repr(missing)) == ("missing", "Dict.from_name('missing')")
    with pytest.raises(AttributeError, match=r"call \.hydrate"):
        missing.object_id  # noqa: B018
    with pytest.raises(NotFoundError, match="no dict 'missing'"):
        missing.get("k")
    made = freehold.Dict.from_name("made", create_if_missing=True).hydrate()
    assert made.object_id.startswith("di-")
    made["k"] = 1
    for other in (
        freehold.Dict.from_id(made.object_id),
        pickle.loads(pickle.dumps(made)),
        freehold.Dict.from_name("made"),
    ):
        assert other["k"] == 1
        assert other.name == "made"
    made["myself"] = made
    assert made["myself"]["k"] == 1
    info = made.info()
    assert info.name == "made"
    assert abs(info.created_at.timestamp() - time.time()) < 60
    for wrong in ("a/b", "", "x" * 65):
        with pytest.raises(InvalidError, match="cannot name a Dict"):
            freehold.Dict.from_name(wrong)
    with pytest.raises(InvalidError, match="from_name"):
        freehold.Dict()


async def test_an_ephemeral_dict_ends_with_its_block(stored: StoredServer) -> None:
    with freehold.Dict.ephemeral() as d:
        d["k"] = 1
        assert d.name is None
        assert freehold.Dict.from_id(d.object_id)["k"] == 1
        assert freehold.Dict.objects.list() == []
    with pytest.raises(NotFoundError, match="it was ephemeral"):
        d.get("k")
    async with freehold.Dict.ephemeral() as d:
        await d.put.aio("k", 2)
        assert await d.get.aio("k") == 2
    with pytest.raises(NotFoundError):
        await d.get.aio("k")


def test_an_ephemeral_dict_tells_that_it_lives(stored: StoredServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.sdk.named._BEAT_S", 0.02)
    told: list[str] = []
    beat = stored.world.dicts.beat

    async def noted(workspace: str, ref: str) -> None:
        told.append(ref)
        await beat(workspace, ref)

    monkeypatch.setattr(stored.world.dicts, "beat", noted)
    block = freehold.Dict.ephemeral()
    for _ in range(2):  # it may be used again
        told.clear()
        with block as d:
            wait_for(lambda: told.count(d.object_id) > 2, timeout_s=5)


def test_objects_are_made_listed_and_deleted(stored: StoredServer) -> None:
    for name in ("one", "two", "three"):
        freehold.Dict.objects.create(name)
    with pytest.raises(AlreadyExistsError):
        freehold.Dict.objects.create("one")
    freehold.Dict.objects.create("one", allow_existing=True)
    assert [d.name for d in freehold.Dict.objects.list()] == ["three", "two", "one"]
    assert [d.name for d in freehold.Dict.objects.list(max_objects=1)] == ["three"]
    assert freehold.Dict.objects.list(created_before="2020-01-01") == freehold.Dict.objects.list(max_objects=0) == []
    assert freehold.Dict.objects.list()[0].len() == 0
    freehold.Dict.objects.delete("two")
    with pytest.raises(NotFoundError):
        freehold.Dict.objects.delete("two")
    freehold.Dict.objects.delete("two", allow_missing=True)
    assert [d.name for d in freehold.Dict.objects.list()] == ["three", "one"]
    with pytest.raises(InvalidError, match="max_objects=-1"):
        freehold.Dict.objects.list(max_objects=-1)
    with pytest.raises(InvalidError, match="created_before='soon'"):
        freehold.Dict.objects.list(created_before="soon")


def test_a_deleted_dict_is_gone_for_its_handles_and_a_new_one_is_another(d: freehold.Dict) -> None:
    d["k"] = 1
    freehold.Dict.objects.delete("settings")
    with pytest.raises(NotFoundError, match="was deleted"):
        d.get("k")
    assert freehold.Dict.from_name("settings", create_if_missing=True).get("k") is None


def test_old_spellings_warn_and_work(d: freehold.Dict) -> None:
    d["k"] = 1
    with pytest.warns(DeprecationError, match=r"write Dict.from_name\('settings'\)") as warned:
        assert freehold.Dict.lookup("settings")["k"] == 1
    assert warned[0].filename == __file__
    with pytest.warns(DeprecationError, match=r"write Dict.objects.delete\('settings'\)"):
        freehold.Dict.delete("settings")
    assert freehold.Dict.objects.list() == []


def test_a_value_that_cannot_be_read_here_hides_no_other(d: freehold.Dict, stored: StoredServer) -> None:
    from freehold.protocol.frames import Payload
    from freehold.protocol.payload import encode_payload
    from freehold.protocol.stored import DictEntry, DictUpdate

    d["fine"] = 1
    entries = [
        DictEntry(key=dump_key("theirs"), value=encode_payload(Payload(data=b"\x80\x05cnot_here\nThing\n."))),
        DictEntry(key=dump_key("broken"), value=b"no payload"),
        DictEntry(key=b"no pickle", value=encode_payload(Payload(data=pickle.dumps(2)))),
    ]
    stored.run(lambda: stored.world.dicts.update("main", d.object_id, DictUpdate(entries=entries)))
    with pytest.raises(
        DeserializationError, match=r"the value of 'theirs' in Dict 'settings' cannot be read: .*not_here"
    ):
        d["theirs"]
    with pytest.raises(DeserializationError, match="the value of 'broken'"):
        d["broken"]
    with pytest.raises(DeserializationError, match="a key of Dict 'settings' cannot be read"):
        list(d.keys())
    read = list[Any]()
    for key, value in unread_items(d):
        for thunk in (key, value):
            try:
                read.append(thunk())
            except DeserializationError:
                read.append("?")
    assert sorted(map(str, read)) == sorted(["fine", "1", "theirs", "?", "broken", "?", "?", "2"])


def test_a_server_that_was_away_is_asked_again(d: freehold.Dict, stored: StoredServer) -> None:
    d["k"] = 1
    stored.stop()
    back = threading.Timer(0.3, stored.start)
    back.start()
    assert d["k"] == 1
    d["k"] = 2
    back.join()
    assert d["k"] == 2


def test_without_a_server_the_first_word_says_so(stored: StoredServer) -> None:
    stored.stop()
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match="freehold up"):
        freehold.Dict.from_name("x").get("k")
    assert time.monotonic() - begun < 5
    stored.start()


def test_connections_are_kept_and_one_that_went_stale_is_left(d: freehold.Dict, stored: StoredServer) -> None:
    d["k"] = 1
    kept = client.current().connections
    (one,) = [connection for _, connection in kept._idle]
    for _ in range(5):
        d.get("k")
    assert [connection for _, connection in kept._idle] == [one]
    one._sock.shutdown(2)
    assert d.put("k", 2)
    assert [connection for _, connection in kept._idle] != [one]
    kept._idle[:] = [(since - 60, connection) for since, connection in kept._idle]
    assert d["k"] == 2
    assert len(kept._idle) == 1
