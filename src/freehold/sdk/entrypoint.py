"""Local entrypoints: functions of a program that run on the user's machine while its app runs."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Entrypoint(Generic[P, R]):
    """Made by `@app.local_entrypoint()`."""

    freehold_decorated = True

    def __init__(self, raw: Callable[P, R], name: str) -> None:
        self.raw, self.name = raw, name
        self.__doc__, self.__name__, self.__module__ = raw.__doc__, raw.__name__, raw.__module__
        self.__wrapped__ = raw

    def __repr__(self) -> str:
        return f"Entrypoint({self.name!r})"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.raw(*args, **kwargs)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Call it from the command line: an async one is run to its end."""
        result = self.raw(*args, **kwargs)
        return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Any) -> Any:
    return await result
