"""A function, an entrypoint with typed options, stdout and stderr."""

import sys

import freehold

app = freehold.App("e2e-hello")


@app.function()
def square(x: int) -> int:
    print(f"squaring {x}")
    print(f"err {x}", file=sys.stderr)
    return x * x


@app.function()
def numbers(count: int = 3):
    yield from range(count)


@app.function()
def fail(why: str = "no reason"):
    raise ValueError(why)


@app.local_entrypoint()
def main(x: int = 3, *, shout: bool = False) -> None:
    """Square a number.

    Args:
        x: the number.
    """
    word = f"result {square.remote(x)}"
    print(word.upper() if shout else word)


@app.local_entrypoint()
def mapped(count: int = 20) -> None:
    print("sum", sum(square.map(range(count))))


@app.local_entrypoint()
def failing() -> None:
    fail.remote("broken on purpose")
