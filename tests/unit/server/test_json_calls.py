"""Calls made from plain JSON, and the keys that make them happen once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.harness import Ear, Rig, until

from freehold.protocol.frames import Execute, Format, Payload
from freehold.protocol.schemas import JsonCall
from freehold.server.dispatch.instance import Instance
from freehold.server.services.calls import Calls, CallsParts, ReusedKeyError

ONE = JsonCall(args=[1], kwargs={"a": 1, "b": 2})


def _calls(rig: Rig) -> Calls:
    doors: Any = None
    return Calls(
        CallsParts(dispatcher=rig.dispatcher, registry=rig.registry, record=rig.record, store=rig.store, doors=doors)
    )


def _post(calls: Calls, call: JsonCall = ONE, *, key: str = "k", wait: bool = True) -> "asyncio.Task[Any]":
    return asyncio.ensure_future(calls.submit_json("main", "app", "f", call, key=key, wait=wait))


def _answer(rig: Rig, instance: Instance, link: Ear, text: bytes = b"7") -> None:
    rig.answer(instance, link.of(Execute)[-1], payload=Payload(text, Format.JSON))


async def test_many_with_one_key_run_once(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        calls = _calls(rig)
        posts = [_post(calls) for _ in range(50)]
        instance, link = await rig.instance(slots=8)
        await until(lambda: link.of(Execute))
        _answer(rig, instance, link)
        results = await asyncio.gather(*posts)
        late = await _post(calls, JsonCall(args=[1], kwargs={"b": 2, "a": 1}))
        assert {r.call for r in results} == {late.call}
        assert {r.result for r in [*results, late]} == {7}
        assert len(link.of(Execute)) == 1


async def test_quick_calls_that_end_while_another_looks_its_key_up_run_once(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        calls = _calls(rig)
        first = _post(calls, key="warm")
        instance, link = await rig.instance(slots=8)
        await until(lambda: link.of(Execute))
        _answer(rig, instance, link)
        await first
        ran = len(link.of(Execute))
        for n in range(20):
            posts = [_post(calls, key=f"k{n}") for _ in range(5)]
            while not all(p.done() for p in posts):
                for execute in link.of(Execute)[ran:]:
                    rig.answer(instance, execute, payload=Payload(b"1", Format.JSON))
                ran = len(link.of(Execute))
                await asyncio.sleep(0)
            assert len({(await p).call for p in posts}) == 1
        assert len(link.of(Execute)) == 21


@pytest.mark.parametrize("when", ["under way", "ended"])
async def test_a_key_that_comes_with_other_arguments_is_refused(tmp_path: Path, when: str) -> None:
    async with Rig(tmp_path) as rig:
        calls = _calls(rig)
        first = _post(calls)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        if when == "ended":
            _answer(rig, instance, link)
            await first
        with pytest.raises(ReusedKeyError, match="'k' was used for this function with other arguments"):
            await _post(calls, JsonCall(args=[2]))
        other = _post(calls, JsonCall(args=[2]), key="k2")
        if when == "under way":
            _answer(rig, instance, link)
        await until(lambda: len(link.of(Execute)) == 2)
        _answer(rig, instance, link, b"8")
        assert (await first).result == 7
        assert (await other).result == 8


async def test_a_call_that_was_not_waited_for_is_waited_for_with_its_key(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        calls = _calls(rig)
        spawned = await _post(calls, wait=False)
        waiting = _post(calls)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        _answer(rig, instance, link)
        assert await waiting == type(spawned)(call=spawned.call, result=7)
