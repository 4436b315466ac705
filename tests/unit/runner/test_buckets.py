"""Calls of a function that has buckets mounted: fresh before, stored after, whatever kind of call it is."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from freehold.core.errors import ServiceError
from freehold.core.specs import BucketMount, FunctionSpec, Web
from freehold.runner import buckets
from freehold.runner.load import Target, UserCode


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the server was asked and what the user's code did, in order. A test may put an error there to be raised."""
    said: list[str] = []

    def act(what: str) -> None:
        said.append(what)
        if "fail" in said and what == "store":
            raise ServiceError("the store is down")

    monkeypatch.setattr(buckets._Buckets, "_act", staticmethod(act))
    return said


def call_of(
    call: Callable[..., Any], *, generator: bool = False, read_only: bool = False, web: Web | None = None
) -> Any:
    spec = FunctionSpec(
        name="f", module="m", qualname="f", buckets=(BucketMount(path="/b", bucket="b", read_only=read_only),)
    )
    is_async = inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)
    target = Target(call=call, is_async=is_async, is_generator=generator, web=web)
    return buckets.attended(UserCode(spec=spec, targets={"": target})).targets[""].call


def test_every_kind_of_call(told: list[str]) -> None:
    def plain(x: int) -> int:
        told.append("user")
        return x + 1

    async def coroutine(x: int) -> int:
        told.append("user")
        return x + 1

    def awaitable(x: int) -> Any:
        return coroutine(x)

    def items(x: int) -> Iterator[int]:
        told.append("user")
        yield x + 1

    async def async_items(x: int) -> AsyncIterator[int]:
        told.append("user")
        yield x + 1

    async def first(given: AsyncIterator[int]) -> list[int]:
        return [item async for item in given]

    for run in (
        lambda: call_of(plain)(1) == 2,
        lambda: asyncio.run(call_of(coroutine)(1)) == 2,
        lambda: asyncio.run(call_of(awaitable)(1)) == 2,
        lambda: list(call_of(items, generator=True)(1)) == [2],
        lambda: asyncio.run(first(call_of(async_items, generator=True)(1))) == [2],
    ):
        told.clear()
        assert run()
        assert told == ["refresh", "user", "store"]
    assert inspect.signature(call_of(plain)) == inspect.signature(plain)


def test_what_the_user_raised_goes_first(told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def breaks() -> None:
        raise ValueError("the user's")

    with pytest.raises(ValueError, match="the user's"):
        call_of(breaks)()
    assert told == ["refresh", "store"]
    told.append("fail")
    with pytest.raises(ValueError, match="the user's"):
        call_of(breaks)()
    assert "could not be stored: the store is down" in capsys.readouterr().err
    with pytest.raises(ServiceError, match="the store is down"):
        call_of(lambda: None)()


def test_what_only_reads_is_not_stored_and_whole_apps_are_left_alone(told: list[str]) -> None:
    call_of(lambda: None, read_only=True)()
    assert told == ["refresh"]

    def app() -> None: ...

    assert call_of(app, web=Web(kind="asgi_app")) is app
    without = UserCode(spec=FunctionSpec(name="f", module="m", qualname="f"), targets={})
    assert buckets.attended(without) is without
