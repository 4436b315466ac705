"""Schedules over a real store, by a clock that the test moves: each moment once, whatever happens in between."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.harness import Rig, until

from freehold.core.clock import ManualClock
from freehold.core.errors import InvalidError
from freehold.core.specs import Cron, FunctionSpec, Period, Schedule, Web
from freehold.core.states import CallState
from freehold.protocol.frames import Execute
from freehold.server.restart import resume_calls
from freehold.server.services.schedules import AGAIN_S, NO_ARGUMENTS, Schedules, check_schedule, is_scheduled
from freehold.server.store.rows import CallRow

MINUTELY = Schedule(period=Period(minutes=1))


class Killed(BaseException):
    """As a signal that nothing handles."""


def schedules_of(rig: Rig) -> Schedules:
    return Schedules(
        registry=rig.registry, dispatcher=rig.dispatcher, record=rig.record, store=rig.store, clock=rig.clock
    )


async def begun(rig: Rig) -> Schedules:
    one = schedules_of(rig)
    await rig.store.write(*one.begin(rig.app))
    return one


async def calls(rig: Rig) -> list[CallRow]:
    return [c for c in await rig.reads.calls("main") if c.state is not CallState.CANCELLED]


async def restarted(before: Rig, rig: Rig) -> Schedules:
    """The schedules of a server that finds what the one before left."""
    rig.registry.remove(rig.app)
    rig.app.id, rig.function.id = before.app.id, before.function.id
    rig.registry.add(rig.app)
    await resume_calls(
        store=rig.store, registry=rig.registry, fleet=rig.fleet, dispatcher=rig.dispatcher, clock=rig.clock
    )
    one = schedules_of(rig)
    await one.restore()
    return one


def due(rig: Rig) -> float:
    assert rig.function.timing is not None
    return rig.function.timing.due


async def test_a_moment_is_called_once_when_it_has_come(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await begun(rig)
        clock.advance(59.9)
        await one.call_due()
        assert not await calls(rig)
        clock.advance(0.2)
        await one.call_due()
        await one.call_due()
        [call] = await calls(rig)
        assert (call.kind, call.function) == ("spawn", "f")
        assert is_scheduled(rig.dispatcher.calls[call.id])
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        [execute] = link.of(Execute)
        assert execute.payload.data == NO_ARGUMENTS
        rig.answer(instance, execute)
        clock.advance(60)
        await one.call_due()
        assert len(await calls(rig)) == 2
        assert due(rig) == 1_000_000.0 + 180


async def test_the_next_call_does_not_wait_for_the_last(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await begun(rig)
        for _ in range(3):
            clock.advance(60)
            await one.call_due()
        assert [c.state for c in await calls(rig)] == [CallState.PENDING] * 3


async def test_what_passed_while_the_server_was_down_is_called_once(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as before:
        await begun(before)
    clock.advance(600.5)
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await restarted(before, rig)
        await one.call_due()
        await one.call_due()
        assert len(await calls(rig)) == 1
        assert due(rig) == 1_000_000.0 + 660  # the rhythm is the old one


async def test_a_server_killed_before_it_moved_on_does_not_call_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as before:
        one = await begun(before)
        clock.advance(60)

        async def killed(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(before.store, "write", killed)
            with pytest.raises(Killed):
                await one.call_due()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await restarted(before, rig)
        await one.call_due()
        await one.call_due()
        assert len(await calls(rig)) == 1
        assert due(rig) == 1_000_000.0 + 120


async def test_a_call_that_has_ended_since_is_not_made_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as before:
        one = await begun(before)
        clock.advance(60)
        await one.call_due()
        instance, link = await before.instance()
        await until(lambda: link.of(Execute))
        before.answer(instance, link.of(Execute)[0])
        await until(lambda: not before.dispatcher.calls)
        await before.store.write(*_stood(before, 1_000_000.0 + 60))
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await restarted(before, rig)
        await one.call_due()
        assert len(await calls(rig)) == 1
        assert due(rig) == 1_000_000.0 + 120


async def test_such_a_server_still_makes_up_for_what_passed_later(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as before:
        one = await begun(before)
        clock.advance(60)
        await one.call_due()
        assert before.function.timing is not None
        await before.store.write(*_stood(before, 1_000_000.0 + 60))
    clock.advance(200)
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await restarted(before, rig)
        for _ in range(4):
            await one.call_due()
        assert len(await calls(rig)) == 2
        assert due(rig) == 1_000_000.0 + 300


def _stood(rig: Rig, due: float) -> list[Any]:
    from freehold.server.store import writes
    from freehold.server.store.rows import ScheduleRow

    return [writes.put_schedules([ScheduleRow(rig.function.id, rig.app.id, 1_000_000.0, due)])]


async def test_a_new_version_counts_anew_and_its_forerunner_cannot_move_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await begun(rig)
        old = rig.function.timing
        assert old is not None
        clock.advance(30)
        await rig.store.write(*one.begin(rig.app))
        rig.function.timing = old  # as while its deployment is being committed
        clock.advance(30)
        await one.call_due()
        [row] = await rig.reads.schedules()
        assert (row.base, row.due) == (1_000_030.0, 1_000_090.0)


async def test_a_refused_call_is_made_later(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await begun(rig)
        clock.advance(60)
        pool = rig.fleet.pool(rig.function, b"")
        pool.full = lambda *_: True  # type: ignore[method-assign]
        await one.call_due()
        del pool.full
        await one.call_due()  # not at once: it would be asked for ever
        assert not await calls(rig)
        clock.advance(AGAIN_S)
        await one.call_due()
        assert len(await calls(rig)) == 1


async def test_a_stopped_app_is_called_no_more(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await begun(rig)
        rig.registry.remove(rig.app)
        clock.advance(600)
        await one.call_due()
        assert not await calls(rig)


async def test_other_calls_are_no_schedules(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        assert not is_scheduled(rig.dispatcher.calls[rig.submit("spawn")])


def test_what_an_app_cannot_be_made_with_is_refused() -> None:
    def spec(schedule: Schedule, **more: Any) -> FunctionSpec:
        return FunctionSpec(name="f", module="m", qualname="f", schedule=schedule, **more)

    check_schedule(spec(MINUTELY), 1e9)
    for wrong in (
        spec(Schedule()), spec(Schedule(period=Period())), spec(Schedule(period=Period(years=9000))),
        spec(Schedule(cron=Cron(expression="x"))), spec(Schedule(cron=Cron(expression="* * * * *", timezone="x"))),
        spec(MINUTELY, is_generator=True), spec(MINUTELY, kind="cls"), spec(MINUTELY, web=Web(kind="asgi_app")),
    ):  # fmt: skip
        with pytest.raises(InvalidError, match="'f'"):
            check_schedule(wrong, 1e9)


async def test_one_that_fails_holds_no_other_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    async with Rig(tmp_path, clock=clock, schedule=MINUTELY) as rig:
        one = await begun(rig)
        clock.advance(60.1)

        def fails(*_: Any, **__: Any) -> None:
            raise KeyError("never thought of")

        with monkeypatch.context() as patch:
            patch.setattr(rig.dispatcher, "submit", fails)
            await one.call_due()
        await one.call_due()
        assert not await calls(rig)  # it waits a while
        clock.advance(AGAIN_S)
        await one.call_due()
        assert len(await calls(rig)) == 1
