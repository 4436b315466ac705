"""Secrets: sealed, deduplicated, validated; never in the clear where they lie or in what is said about them."""

import asyncio
import logging
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from freehold.core.errors import AlreadyExistsError, DataLossError, InvalidError, NotFoundError
from freehold.core.home import Home
from freehold.core.ids import new_id
from freehold.server.services.secrets import Secrets, load_key
from freehold.server.store import writes
from freehold.server.store.reads import Reads
from freehold.server.store.sqlite import SqliteStore

CANARY = "hunter2-canary-value"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
async def store(home: Home) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(home.database)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def secrets(home: Home, store: SqliteStore) -> Secrets:
    return Secrets(home, store)


async def test_put_list_values_delete(secrets: Secrets) -> None:
    view = await secrets.put("main", "db", {"URL": "postgres://…", "PASSWORD": CANARY})
    assert view.keys == ("PASSWORD", "URL")
    assert await secrets.list("main") == [view]
    assert await secrets.values("main", "db") == {"URL": "postgres://…", "PASSWORD": CANARY}
    with pytest.raises(AlreadyExistsError, match="force"):
        await secrets.put("main", "db", {"URL": "x"})
    again = await secrets.put("main", "db", {"URL": "x"}, force=True)
    assert (again.keys, again.created) == (("URL",), view.created)
    assert await secrets.values("main", "db") == {"URL": "x"}
    await secrets.delete("main", "db")
    for gone in (secrets.delete("main", "db"), secrets.values("main", "db")):
        with pytest.raises(NotFoundError, match="freehold secret create db"):
            await gone


async def test_an_update_keeps_what_it_does_not_name(secrets: Secrets) -> None:
    made = await secrets.put("main", "db", {"URL": "x", "OLD": "1"})
    await asyncio.gather(*(secrets.update("main", "db", {f"K{n}": CANARY}) for n in range(5)))
    view = await secrets.update("main", "db", {"URL": "y"})
    assert view.keys == ("K0", "K1", "K2", "K3", "K4", "OLD", "URL")
    assert view == await secrets.get("main", "db")
    assert (view.id, view.created) == (made.id, made.created)
    assert (await secrets.values("main", "db"))["URL"] == "y"
    with pytest.raises(InvalidError, match="cannot be a secret's key"):
        await secrets.update("main", "db", {"a b": "1"})
    for gone in (secrets.update("main", "nope", {"A": "1"}), secrets.get("main", "nope")):
        with pytest.raises(NotFoundError, match="there is no secret 'nope'"):
            await gone
    sealed = await secrets.seal("main", {"A": "1"})
    with pytest.raises(InvalidError, match="form of an id"):
        await secrets.get("main", sealed)  # values of a program are nobody's to read or change


async def test_workspaces_do_not_see_each_other(secrets: Secrets) -> None:
    await secrets.put("main", "db", {"A": "1"})
    assert await secrets.list("other") == []
    with pytest.raises(NotFoundError):
        await secrets.values("other", "db")


async def test_equal_values_are_sealed_once(secrets: Secrets) -> None:
    ids = await asyncio.gather(*[secrets.seal("main", {"A": "1", "B": CANARY}) for _ in range(5)])
    assert len(set(ids)) == 1
    assert await secrets.seal("main", {"B": CANARY, "A": "1"}) == ids[0]
    assert await secrets.seal("main", {"A": "2"}) != ids[0]
    assert await secrets.seal("other", {"B": CANARY, "A": "1"}) != ids[0]
    assert await secrets.values("main", ids[0]) == {"A": "1", "B": CANARY}
    assert await secrets.list("main") == []


async def test_nothing_lies_in_the_clear(
    home: Home, secrets: Secrets, store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await secrets.put("main", "db", {"PASSWORD": CANARY})
        sealed = await secrets.seal("main", {"TOKEN": CANARY})
        await secrets.values("main", sealed)
    row = await Reads(store).secret("main", "db")
    assert CANARY not in repr(row) + caplog.text + repr(await secrets.list("main"))
    files = [p for p in home.root.rglob("*") if p.is_file()]
    assert len(files) >= 4
    assert not [
        p for p in files if CANARY.encode() in p.read_bytes() or CANARY.encode().hex().encode() in p.read_bytes()
    ]
    await store.close()
    assert not [p for p in home.root.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]


async def test_what_is_sealed_for_one_secret_opens_for_no_other(secrets: Secrets, store: SqliteStore) -> None:
    await secrets.put("main", "mine", {"A": CANARY})
    await secrets.put("main", "other", {"A": "1"})
    mine, other = await Reads(store).secret("main", "mine"), await Reads(store).secret("main", "other")
    assert mine is not None
    assert other is not None
    await store.write(writes.put_secrets([other._replace(sealed=mine.sealed)]))
    with pytest.raises(DataLossError, match="'other' cannot be opened") as caught:
        await secrets.values("main", "other")
    assert CANARY not in str(caught.value)


async def test_another_key_opens_nothing_and_says_so(home: Home, store: SqliteStore, secrets: Secrets) -> None:
    await secrets.put("main", "db", {"A": "1"})
    home.key.unlink()
    with pytest.raises(DataLossError, match="the key file was exchanged"):
        await Secrets(home, store).values("main", "db")


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "../x", "a" * 65, "x\n", "é", new_id("st")])
async def test_bad_names(secrets: Secrets, name: str) -> None:
    with pytest.raises(InvalidError, match="cannot name a secret"):
        await secrets.put("main", name, {"A": "1"})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({f"K{i}": "" for i in range(501)}, "not 501"),
        ({"1A": CANARY}, "'1A' cannot be"),
        ({"A=B": CANARY}, "environment variable"),
        ({"": CANARY}, "cannot be"),
        ({"A": CANARY + "\0"}, "NUL"),
        ({"A": CANARY * 10_000}, "put it into a volume"),
        ({"A": 5}, "not text but int"),
    ],
)
async def test_bad_values(secrets: Secrets, values: dict[str, Any], said: str) -> None:
    for refused in (secrets.put("main", "s", values), secrets.seal("main", values)):
        with pytest.raises(InvalidError, match=said) as caught:
            await refused
        assert CANARY not in str(caught.value)


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(load_key, [path] * 32))
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["key"]


def test_a_key_that_others_can_read_is_closed_to_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    load_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert "key_was_readable_by_others" in caplog.text


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(DataLossError, match="restore it from a backup"):
        load_key(tmp_path / "key")


async def test_a_program_may_give_no_values_but_a_named_secret_has_some(secrets: Secrets) -> None:
    assert await secrets.values("main", await secrets.seal("main", {})) == {}
    with pytest.raises(InvalidError, match="give at least one KEY=VALUE"):
        await secrets.put("main", "empty", {})
