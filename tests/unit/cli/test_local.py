"""Whose the home is: the holder of its lock, whatever files say."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.cli.local import find, holder
from freehold.core.errors import ConflictError
from freehold.core.home import Home
from freehold.server.claim import claim


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def held(home: Home) -> Iterator[Home]:
    with claim(home):
        yield home


def announce(home: Home, pid: int) -> None:
    home.server_file.write_text(json.dumps({"pid": pid, "url": "http://x"}))


def test_the_holder_is_whoever_has_the_lock(held: Home) -> None:
    assert holder(held) == os.getpid()
    assert find(held) is None  # it starts, or ends
    announce(held, os.getpid())
    server = find(held)
    assert server is not None
    assert server.pid == os.getpid()


@pytest.mark.parametrize("said", ["", "{", "{}", '{"pid": "x"}'])
def test_a_lost_or_damaged_file_hides_the_server_but_not_its_holder(held: Home, said: str) -> None:
    held.server_file.write_text(said)
    assert find(held) is None
    assert holder(held) == os.getpid()
    with pytest.raises(ConflictError, match=f"pid {os.getpid()}"):
        claim(held)


def test_the_pid_of_a_server_that_died_may_be_another_process_by_now(home: Home) -> None:
    home.lock.write_text(f"{os.getpid()}\n")
    announce(home, os.getpid())
    assert holder(home) is None
    assert find(home) is None


def test_the_lock_holds_one_pid_only(home: Home) -> None:
    home.lock.write_text("123456789012\n")
    with claim(home):
        assert home.lock.read_text() == f"{os.getpid()}\n"
