"""What a method of a class takes on the command line."""

from typing import Any

import freehold
from freehold.cli.entrypoint import invoke
from freehold.cli.run import _plain
from freehold.sdk.loader import ClsMethod, runnable_functions

app = freehold.App("cls-options")


@app.cls()
class Model:
    name: str = freehold.parameter()
    size: int = freehold.parameter(default=3)
    salt: bytes = freehold.parameter(default=b"x")

    @freehold.method()
    def go(self, n: int, *more: str, size: int = 9) -> None: ...

    @freehold.method()
    def plain(self) -> None: ...


def options(method: str, *words: str) -> dict[str, Any]:
    target = runnable_functions(app)[f"Model.{method}"]
    assert isinstance(target, ClsMethod)
    taken: list[dict[str, Any]] = []
    invoke(_plain(target), lambda *_, **given: taken.append(given), words, program="freehold run x.py")
    return taken[0]


def test_parameters_of_the_class_are_options_beside_those_of_the_method() -> None:
    assert options("plain", "--name", "a", "--size", "5") == {"name": "a", "size": 5}
    assert options("plain", "--name", "a") == {"name": "a", "size": 3}


def test_the_methods_own_meaning_of_a_name_wins() -> None:
    assert options("go", "--name", "a", "--n", "1", "--size", "2") == {"name": "a", "n": 1, "size": 2}
