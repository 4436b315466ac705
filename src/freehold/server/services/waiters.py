"""Who waits for a change at a key, in the order they came. A wake-up that its place did not use goes to the next one."""

import asyncio
import itertools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Place:
    """One who waits."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    @property
    def woken(self) -> bool:
        return self._woken.is_set()

    def wake(self) -> None:
        self._woken.set()

    def look(self) -> None:
        """What has changed until now is about to be looked at."""
        self._woken.clear()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a change; False when none came in time."""
        if timeout_s <= 0:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True


class Waiters(Generic[Key]):
    """Places by key."""

    def __init__(self) -> None:
        self._places: dict[Key, dict[Place, None]] = {}

    @contextmanager
    def place(self, key: Key) -> Generator[Place, None, None]:
        """Take a place, before looking whether there is something already."""
        place = Place()
        self._places.setdefault(key, {})[place] = None
        try:
            yield place
        finally:
            places = self._places[key]
            del places[place]
            if not places:
                del self._places[key]
            if place.woken:
                self.wake(key, 1)

    def wake(self, key: Key, count: int) -> None:
        """Wake the first `count` that sleep."""
        for place in self._places.get(key, ()):
            if count <= 0:
                return
            if not place.woken:
                place.wake()
                count -= 1

    def pass_on(self, key: Key, place: Place) -> None:
        """What woke this place is of no use to it: the next one behind it that sleeps may have it."""
        behind = itertools.dropwhile(lambda other: other is not place, self._places[key])
        heir = next((other for other in behind if other is not place and not other.woken), None)
        if heir is not None:
            heir.wake()

    def wake_all(self, where: Callable[[Key], bool]) -> None:
        """Wake whoever waits at such keys."""
        for key, places in self._places.items():
            if where(key):
                self.wake(key, len(places))
