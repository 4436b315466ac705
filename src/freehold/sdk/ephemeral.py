"""Objects that last as long as a block: one context manager for `with` and for `async with`."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ephemeral(Generic[T]):
    """Makes the object when the block begins, and deletes it when it ends, however it ends."""

    def __init__(self, make: Callable[[], T], delete: Callable[[T], None]) -> None:
        self._make, self._delete = make, delete
        self._made: list[T] = []

    def __enter__(self) -> T:
        self._made.append(self._make())
        return self._made[-1]

    def __exit__(self, *_: object) -> None:
        self._delete(self._made.pop())

    async def __aenter__(self) -> T:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.__exit__)
