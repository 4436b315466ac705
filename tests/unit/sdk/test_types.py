"""What type checkers know of a program; `make types` checks it, running it checks little."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any, assert_type

import freehold

app = freehold.App("typed")


@app.function(timeout=60)
def add(a: int, b: str = "") -> float:
    return a + len(b)


@app.function()
async def fetch(url: str) -> bytes:
    return url.encode()


@app.function()
def lines(n: int) -> Iterator[str]:
    yield from "x" * n


@app.cls(gpu="any")
class Model:
    size: int = freehold.parameter(default=1)

    @freehold.method()
    def predict(self, n: int) -> str:
        return str(n)

    @freehold.method()
    async def ask(self, n: int) -> list[int]:
        return [n]


def program() -> None:
    assert_type(add.remote(1, b="x"), float)
    assert_type(fetch.remote("u"), bytes)
    assert_type(lines.remote_gen(3), Generator[str, None, None])
    assert_type(lines.remote_gen.aio(3), AsyncGenerator[str, None])
    assert_type(add.spawn(1), freehold.FunctionCall[float])
    assert_type(add.spawn(1).get(timeout=3), float)
    assert_type(list(add.map([1, 2])), list[float])
    assert_type(Model(size=3).predict.remote(1), str)
    assert_type(Model().ask.remote(1), list[int])
    assert_type(freehold.FunctionCall.gather(add.spawn(1)), list[Any])
    add.remote("no")  # pyright: ignore[reportArgumentType]
    Model(size="no")  # pyright: ignore[reportArgumentType]


async def async_program() -> None:
    assert_type(await add.remote.aio(1), float)
    assert_type(await Model().predict.remote.aio(1), str)


def test_types_are_checked_elsewhere() -> None:
    checked: list[Callable[[], Any]] = [program, async_program]
    assert all(callable(c) for c in checked)
