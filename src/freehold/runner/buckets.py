"""Inputs of a function that has buckets mounted: fresh when they begin, stored when they end, before their result is told."""

import functools
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

from freehold.runner.load import Target, UserCode
from freehold.sdk.config import discover
from freehold.sdk.faces import blocking, drive_async
from freehold.sdk.http import Api

_WHOLE_APPS = (
    "asgi_app",
    "wsgi_app",
    "web_server",
    "server",
)  # their requests are their own; the server stores what they write


def attended(user: UserCode) -> UserCode:
    """The user's code, each of its calls between a refresh and a store."""
    if not user.spec.buckets:
        return user
    writes = not all(b.read_only for b in user.spec.buckets)
    targets = {name: _attended(target, _Buckets(writes=writes)) for name, target in user.targets.items()}
    return replace(user, targets=targets)


class _Buckets:
    """The server's part of it, for this instance."""

    def __init__(self, *, writes: bool) -> None:
        self._writes = writes

    def refresh(self) -> None:
        self._act("refresh")

    def store(self, failed: BaseException | None = None) -> None:
        """Store; what the user's code raised goes before what storing raises."""
        if not self._writes:
            return
        try:
            self._act("store")
        except Exception as error:
            if failed is None:
                raise
            sys.stderr.write(f"what was written to the buckets could not be stored: {error}\n")

    @staticmethod
    def _act(what: str) -> None:
        Api(discover()).act("POST", f"/v1/buckets/{what}", patient=True)


def _attended(target: Target, buckets: _Buckets) -> Target:
    if target.web is not None and target.web.kind in _WHOLE_APPS:
        return target
    if target.is_generator:
        wrap = _async_items if target.is_async else _items
    else:
        wrap = _async_call if target.is_async else _call
    return replace(target, call=wrap(target.call, buckets))


def _call(call: Callable[..., Any], buckets: _Buckets) -> Callable[..., Any]:
    @functools.wraps(call)
    def attended(*args: Any, **kwargs: Any) -> Any:
        buckets.refresh()
        try:
            value = call(*args, **kwargs)
        except BaseException as error:
            buckets.store(error)
            raise
        if inspect.isawaitable(value):
            return _settled(value, buckets)
        buckets.store()
        return value

    return attended


def _async_call(call: Callable[..., Any], buckets: _Buckets) -> Callable[..., Any]:
    @functools.wraps(call)
    async def attended(*args: Any, **kwargs: Any) -> Any:
        await _beside(buckets.refresh)
        return await _settled(call(*args, **kwargs), buckets)

    return attended


def _items(call: Callable[..., Any], buckets: _Buckets) -> Callable[..., Any]:
    @functools.wraps(call)
    def attended(*args: Any, **kwargs: Any) -> Iterator[Any]:
        buckets.refresh()
        try:
            yield from call(*args, **kwargs)
        except BaseException as error:
            buckets.store(error)
            raise
        buckets.store()

    return attended


def _async_items(call: Callable[..., Any], buckets: _Buckets) -> Callable[..., Any]:
    @functools.wraps(call)
    async def attended(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        await _beside(buckets.refresh)
        try:
            async for item in call(*args, **kwargs):
                yield item
        except BaseException as error:
            await _beside(buckets.store, error)
            raise
        await _beside(buckets.store)

    return attended


async def _settled(value: Any, buckets: _Buckets) -> Any:
    try:
        done = await value
    except BaseException as error:
        await _beside(buckets.store, error)
        raise
    await _beside(buckets.store)
    return done


async def _beside(work: Callable[..., None], *args: Any) -> None:
    """Wait for it in a thread, so that other inputs go on."""
    await drive_async(blocking(work, *args))
