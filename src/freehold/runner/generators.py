"""What a user's generator gives, whether it is sync or async, and a clear word when it is none."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast

from freehold.core.errors import InvalidError
from freehold.runner.inputs import settle


def iterate(items: Any, name: str, runner: "Callable[[], asyncio.Runner] | None") -> Iterable[Any]:
    """The items of a generator; an async one is driven by `runner`, where there is one."""
    if hasattr(items, "__aiter__") and runner is not None:
        return _drive(items.__aiter__(), runner())
    if not hasattr(items, "__iter__") or isinstance(items, (str, bytes, dict, list, tuple)):
        _no_generator(name, items)
    return cast("Iterable[Any]", items)


def _drive(items: Any, runner: "asyncio.Runner") -> Iterable[Any]:
    while True:
        try:
            yield runner.run(settle(items.__anext__()))
        except StopAsyncIteration:
            return


async def iterate_async(items: Any, name: str) -> AsyncIterator[Any]:
    """The items of an async generator, or of any iterable."""
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
        return
    for item in iterate(items, name, None):
        yield item
        await asyncio.sleep(0)


def _no_generator(name: str, value: Any) -> None:
    msg = f"{name!r} was called as a generator and returned a {type(cast('object', value)).__qualname__!r}: use `yield`, or call it with .remote()"
    raise InvalidError(msg)
