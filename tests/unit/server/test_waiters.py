"""Who waits is woken in order, and a wake-up that is not used goes on."""

import asyncio

from freehold.server.services.waiters import Waiters


async def test_as_many_are_woken_as_there_are_changes_the_first_come_first() -> None:
    waiters, woken = Waiters[str](), list[int]()

    async def wait(n: int) -> None:
        with waiters.place("k") as place:
            if await place.wait(5):
                place.look()
                woken.append(n)

    tasks = [asyncio.ensure_future(wait(n)) for n in range(4)]
    await asyncio.sleep(0)
    waiters.wake("other", 9)
    waiters.wake("k", 2)
    await asyncio.gather(*tasks[:2])
    await asyncio.sleep(0)
    assert woken == [0, 1]
    waiters.wake_all(lambda key: key == "k")
    await asyncio.gather(*tasks)
    assert woken == [0, 1, 2, 3]
    assert waiters._places == {}


async def test_who_leaves_without_looking_passes_its_wake_up_on() -> None:
    waiters = Waiters[str]()
    with waiters.place("k") as second_last:
        with waiters.place("k") as last:
            waiters.wake("k", 1)
            assert (second_last.woken, last.woken) == (True, False)
            second_last.look()  # it found something
        waiters.wake("k", 1)
        with waiters.place("k") as newest:
            pass
    assert not newest.woken
    with waiters.place("k") as heir:
        with waiters.place("k"):
            waiters.wake("k", 2)
            heir.look()
        assert heir.woken


async def test_waiting_no_time_is_no_waiting() -> None:
    with Waiters[str]().place("k") as place:
        place.wake()
        assert not await place.wait(0)
        assert not await place.wait(-1)
        assert await place.wait(0.01)


async def test_a_wake_up_of_no_use_goes_to_the_next_behind() -> None:
    waiters = Waiters[str]()
    with waiters.place("k") as first, waiters.place("k") as second, waiters.place("k") as third:
        waiters.wake("k", 1)
        first.look()
        waiters.pass_on("k", first)
        assert [first.woken, second.woken, third.woken] == [False, True, False]
        waiters.pass_on("k", third)
        assert [first.woken, third.woken] == [False, False]
        third.look()
        second.look()
