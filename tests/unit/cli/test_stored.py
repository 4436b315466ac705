"""`freehold dict` and `freehold queue`, run in this process over a real server."""

import json
import threading
from typing import Any

import pytest
from tests.unit.sdk.stored_server import StoredServer

import freehold
from freehold.cli.main import load
from freehold.core.errors import InvalidError, NotFoundError


class Commands:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> str:
        """Run a command, and return what it printed."""
        load(words[0]).main(list(words[1:]), standalone_mode=False)
        self.out, self.err = self._capsys.readouterr()
        return self.out

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def run(stored: StoredServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setattr("freehold.modal.alias.install", lambda: None)  # for the rest of this process
    return Commands(capsys)


class Local:
    def __repr__(self) -> str:
        return "Local()\nof two lines"


def test_dicts_are_made_listed_and_deleted(run: Commands) -> None:
    assert run("dict", "list") == ""
    assert "no dicts" in run.err
    assert run("dict", "create", "one") == run("dict", "create", "one") == "✓ dict one\n"
    run("dict", "create", "two")
    assert [d["name"] for d in run.json("dict", "list")] == ["two", "one"]
    assert run("dict", "list").splitlines()[1].split()[0] == "two"
    with pytest.raises(InvalidError, match="no terminal to ask on: pass --yes"):
        run("dict", "delete", "two")
    run("dict", "delete", "two", "-y")
    with pytest.raises(NotFoundError, match="no dict 'two'"):
        run("dict", "delete", "two", "--yes")
    run("dict", "delete", "two", "--yes", "--allow-missing")
    assert [d["name"] for d in run.json("dict", "list")] == ["one"]


def test_what_a_dict_holds(run: Commands) -> None:
    d = freehold.Dict.from_name("d", create_if_missing=True)
    d.update({"k": [1, "two"], 3: {"x": {1}}, "long": "x" * 500, "mine": Local()})
    assert run("dict", "get", "d", "k") == "[1, 'two']\n"
    assert run.json("dict", "get", "d", "k") == [1, "two"]
    with pytest.raises(NotFoundError, match=r"dict 'd' has no key '3' \(of text\)"):
        run("dict", "get", "d", "3")
    pairs = {json.dumps(key): value for key, value in run.json("dict", "items", "d")}
    assert pairs == {"3": "{'x': {1}}", '"k"': [1, "two"], '"long"': "x" * 500, '"mine"': "Local()\nof two lines"}
    shown = run("dict", "items", "d", "--repr")
    assert "'k'" in shown
    assert "x" * 79 + "…" in shown
    assert "x" * 80 not in shown
    assert "Local()\\nof two lines" in shown
    assert run.err == ""
    assert len(run.json("dict", "items", "d", "2")) == 2
    assert "the first 2 only; --all shows all" in run.err
    assert len(run.json("dict", "items", "d", "2", "--all")) == 4
    run("dict", "clear", "d", "-y")
    assert run("dict", "items", "d") == ""
    assert "dict d is empty" in run.err


def test_a_value_that_cannot_be_read_is_shown_as_such_among_the_others(run: Commands, stored: StoredServer) -> None:
    from freehold.protocol.frames import Payload
    from freehold.protocol.payload import encode_payload
    from freehold.protocol.stored import DictEntry, DictUpdate, QueuePut
    from freehold.sdk.serialization import dump_key

    d = freehold.Dict.from_name("d", create_if_missing=True)
    q = freehold.Queue.from_name("q", create_if_missing=True)
    d["fine"] = 1
    theirs = encode_payload(Payload(data=b"\x80\x05cnot_here\nThing\n."))
    entry = DictEntry(key=dump_key("theirs"), value=theirs)
    stored.run(lambda: stored.world.dicts.update("main", d.object_id, DictUpdate(entries=[entry])))
    q.put(1)
    stored.run(lambda: stored.world.queues.put("main", q.object_id, QueuePut(items=[theirs])))
    q.put(2)
    why = "<cannot be read here: a value cannot be read here, ModuleNotFoundError: No module named 'not_here'"
    assert [line.split()[0] for line in run("dict", "items", "d").splitlines()] == ["KEY", "fine", "theirs"]
    assert why in run.out
    assert run("dict", "get", "d", "theirs").startswith(why)
    first, second, third = run("queue", "peek", "q", "5").splitlines()
    assert (first, third) == ("1", "2")
    assert second.startswith(why)
    assert q.len() == 3


def test_queues(run: Commands) -> None:
    assert run("queue", "create", "q") == run("queue", "create", "q") == "✓ queue q\n"
    q = freehold.Queue.from_name("q")
    q.put_many([1, {"two": 2}, "three"])
    q.put("other", partition="p")
    (one,) = run.json("queue", "list")
    assert (one["name"], one["partitions"], one["items"]) == ("q", 2, 4)
    assert run("queue", "list").splitlines()[1].split()[-2:] == ["2", "4"]
    assert run("queue", "peek", "q") == "1\n"
    assert run("queue", "peek", "q", "9") == "1\n{'two': 2}\nthree\n"
    assert run.json("queue", "peek", "q", "2") == [1, {"two": 2}]
    assert run("queue", "peek", "q", "-p", "p") == "other\n"
    assert run("queue", "peek", "q", "-p", "none") == ""
    assert [run("queue", "len", "q", *more) for more in ((), ("-p", "p"), ("--total",))] == ["3\n", "1\n", "4\n"]
    with pytest.raises(InvalidError, match="not both"):
        run("queue", "len", "q", "-p", "p", "-t")
    run("queue", "clear", "q", "-p", "p", "--yes")
    assert run.json("queue", "len", "q", "--total") == 3
    with pytest.raises(InvalidError, match="all partitions of queue 'q'"):
        run("queue", "clear", "q", "--all")
    run("queue", "clear", "q", "--all", "--yes")
    assert run("queue", "len", "q", "-t") == "0\n"
    run("queue", "delete", "q", "--yes")
    with pytest.raises(NotFoundError):
        run("queue", "peek", "q")
    run("queue", "delete", "q", "--yes", "--allow-missing")


def test_a_peek_does_not_wait_nor_hold_a_getter_up(run: Commands) -> None:
    q = freehold.Queue.from_name("q", create_if_missing=True).hydrate()
    got = list[Any]()
    getter = threading.Thread(target=lambda: got.append(q.get(timeout=60)))
    getter.start()
    assert run("queue", "peek", "q", "3") == ""
    q.put("x")
    getter.join(60)
    assert got == ["x"]
