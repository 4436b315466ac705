"""`--help` of every command: an example that its own command line takes, and no options that belong to another."""

from collections.abc import Iterator
from typing import Any

import pytest

from freehold.cli.main import COMMANDS, load


def _commands() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        command = load(name)
        inner: dict[str, Any] = getattr(command, "commands", {})
        yield from ((f"{name} {sub}", c) for sub, c in inner.items()) if inner else [(name, command)]


_ALL = dict(_commands())


@pytest.mark.parametrize("name", _ALL)
def test_every_command_shows_an_example(name: str) -> None:
    assert f"[bold]freehold {name}" in _ALL[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_only_the_root_installs_completion(name: str) -> None:
    assert not [p.name for p in load(name).params if "completion" in p.name]
