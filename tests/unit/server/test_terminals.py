"""Terminals: what an instance says goes to whoever reads, and lines come back to whom they were asked for."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.server.harness import Rig, until

from freehold.core.errors import ConflictError, InvalidError, NotFoundError
from freehold.protocol.schemas import TerminalAsk, TerminalText
from freehold.server.services.terminals import Terminals


async def one_instance(rig: Rig) -> str:
    rig.submit()
    instance, _ = await rig.instance()
    return instance.id


async def test_lines_come_back_to_whom_they_were_asked_for(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        terminals, instance = Terminals(registry=rig.registry, fleet=rig.fleet), await one_instance(rig)
        reader = terminals.attach("main", rig.app.id)
        assert await anext(reader) == TerminalAsk(id=0)
        assert await terminals.say(instance, TerminalText(text="hello\n")) is None
        asked = asyncio.create_task(terminals.say(instance, TerminalText(text="? ", reads=True)))
        assert [await anext(reader), await anext(reader)] == [
            TerminalAsk(id=1, text="hello\n"),
            TerminalAsk(id=2, text="? ", reads=True),
        ]
        with pytest.raises(NotFoundError):
            terminals.answer("main", rig.app.id, 1, "too early\n")
        terminals.answer("main", rig.app.id, 2, "yes\n")
        assert await asked == "yes\n"
        with pytest.raises(NotFoundError):
            terminals.answer("main", rig.app.id, 2, "again\n")


async def test_when_its_reader_leaves_all_input_ends(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        terminals, instance = Terminals(registry=rig.registry, fleet=rig.fleet), await one_instance(rig)
        reader = terminals.attach("main", "app")
        await anext(reader)
        with pytest.raises(ConflictError, match="has a terminal already"):
            terminals.attach("main", "app")
        asked = asyncio.create_task(terminals.say(instance, TerminalText(reads=True)))
        await anext(reader)
        await reader.aclose()
        assert await asked is None
        with pytest.raises(ConflictError, match="no terminal is attached"):
            await terminals.say(instance, TerminalText())
        await anext(terminals.attach("main", "app"))


async def test_one_instance_has_it_at_a_time(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        terminals, first = Terminals(registry=rig.registry, fleet=rig.fleet), await one_instance(rig)
        second = await one_instance(rig)
        reader = terminals.attach("main", "app")
        await anext(reader)
        await terminals.say(first, TerminalText(text="mine"))
        with pytest.raises(ConflictError, match=f"{first} has the terminal"):
            await terminals.say(second, TerminalText(text="mine too"))
        rig.fleet.kill(rig.fleet.instances[first], reason="ended")
        await until(lambda: first not in rig.fleet.instances)
        await terminals.say(second, TerminalText(text="mine now"))
        assert [(await anext(reader)).text for _ in range(2)] == ["mine", "mine now"]


async def test_only_instances_speak(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        terminals = Terminals(registry=rig.registry, fleet=rig.fleet)
        with pytest.raises(InvalidError, match="only an instance"):
            await terminals.say("token", TerminalText())
        with pytest.raises(NotFoundError):
            terminals.attach("other", "app")


async def test_of_two_who_attach_at_once_one_has_it_to_its_end(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        terminals, instance = Terminals(registry=rig.registry, fleet=rig.fleet), await one_instance(rig)
        first, second = terminals.attach("main", "app"), terminals.attach("main", "app")
        await anext(first)
        with pytest.raises(ConflictError, match="has a terminal already"):
            await anext(second)
        await terminals.say(instance, TerminalText(text="hello\n"))
        assert (await anext(first)).text == "hello\n"
        await first.aclose()
