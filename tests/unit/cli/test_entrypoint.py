"""Signatures become options."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from freehold.cli.entrypoint import invoke
from freehold.core.errors import InvalidError


def everything(
    n: int,
    name: str = "x",
    flag: bool = True,
    rate: float | None = None,
    when: datetime | None = None,
    mode: Literal["a", "b"] = "a",
    items: list[int] | None = None,
    file: Path = Path("/tmp/x"),
    some: Any = None,
    plain=3,  # type: ignore[no-untyped-def]
) -> dict[str, Any]:
    """Take everything.

    Args:
        n: how many of them.
        name (str): what they are called.
    """
    return dict(locals())


def call(raw: Any, *args: str) -> Any:
    return invoke(raw, raw, args, program="freehold run x.py")


def test_each_type_is_parsed() -> None:
    words = "--n 3 --name y --no-flag --rate 0.5 --when 2026-01-02 --mode b --items 1 --items 2 --file /etc --some z --plain 4".split()
    assert call(everything, *words) == {
        "n": 3, "name": "y", "flag": False, "rate": 0.5, "when": datetime(2026, 1, 2), "mode": "b", "items": [1, 2],  # noqa: DTZ001
        "file": Path("/etc"), "some": "z", "plain": 4,
    }  # fmt: skip


def test_defaults_hold() -> None:
    result = call(everything, "--n", "1")
    assert (result["name"], result["flag"], result["rate"], result["mode"], result["plain"]) == (
        "x",
        True,
        None,
        "a",
        3,
    )


def test_help_shows_the_docstring_and_what_it_says_of_each_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(everything, "--help") is None
    shown = capsys.readouterr().out
    assert "Take everything." in shown
    assert "how many of them." in shown
    assert "--no-flag" in shown
    assert "Args:" not in shown


def test_underscores_become_dashes() -> None:
    def f(batch_size: int) -> int:
        return batch_size

    assert call(f, "--batch-size", "7") == 7


def test_rest_arguments_pass_through_with_their_dashes() -> None:
    def f(*args: str) -> tuple[str, ...]:
        return args

    assert call(f, "a", "--b", "c") == ("a", "--b", "c")


def test_rest_arguments_are_read_as_their_type_says() -> None:
    def numbers(*args: int) -> tuple[int, ...]:
        return args

    def anything(*args: Any) -> tuple[Any, ...]:
        return args

    assert call(numbers, "1", "2") == (1, 2)
    assert call(anything, "1", "b") == ("1", "b")


def test_an_async_function_is_run_to_its_end() -> None:
    async def f(x: int = 2) -> int:
        return x * 2

    assert call(f) == 4


def test_positional_only_parameters_are_passed_by_place() -> None:
    def f(x: int, /, y: int = 1) -> int:
        return x - y

    assert call(f, "--x", "5") == 4


def test_a_list_is_given_item_by_item_or_as_json() -> None:
    def f(many_items: list[int], names: Sequence[str] = (), free: list | None = None) -> Any:  # type: ignore[type-arg]
        return many_items, names, free

    assert call(f, "--many-items", "1", "--many-items", "2") == ([1, 2], [], None)
    assert call(f, "--many-items", "[1, 2]", "--many-items=[3]", "--names", '["a b", "[c]", "1"]') == (
        [1, 2, 3],
        ["a b", "[c]", "1"],
        None,
    )
    assert call(f, "--many-items", "[]", "--names", "[not json", "--free", "x") == ([], ["[not json"], ["x"])


def test_a_bad_item_of_a_list_is_a_usage_error_that_names_the_option() -> None:
    def f(items: list[int]) -> None: ...

    for given in ("[1, null]", '["x"]', "[[1]]", "x"):
        with pytest.raises(Exception, match="int") as caught:
            call(f, "--items", given)
        assert "--items" in cast("Any", caught.value).format_message()


def test_a_bad_value_is_a_usage_error_that_names_the_option() -> None:
    for option, value in (("--n", "x"), ("--rate", "x"), ("--when", "soon"), ("--mode", "c")):
        with pytest.raises(Exception) as caught:
            call(everything, "--n", "1", option, value)
        assert option in cast("Any", caught.value).format_message()
        assert cast("Any", caught.value).exit_code == 2


def test_a_pair_takes_two_words() -> None:
    def f(size: tuple[int, int]) -> tuple[int, int]:
        return size

    assert call(f, "--size", "3", "4") == (3, 4)


def test_numbers_of_a_literal_are_numbers() -> None:
    def f(level: Literal[1, 2] = 1) -> int:
        return level

    assert call(f, "--level", "2") == 2


def test_annotations_that_cannot_be_read_say_so() -> None:
    def f(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidError, match=r"annotations of f.*'Nowhere'"):
        call(f)


@pytest.mark.parametrize(
    "hint",
    [
        bytes,
        dict,
        dict[str, int],
        dict[str, int] | None,
        int | str,
        set[int],
        list[dict[str, int]],
        tuple[int, ...],
        complex,
        ValueError,
    ],
)
def test_a_type_that_no_option_can_hold_is_named(hint: Any) -> None:
    def f(x: Any) -> None: ...

    f.__annotations__["x"] = hint
    with pytest.raises(InvalidError, match="'x' of f"):
        call(f)


def test_keyword_arguments_are_refused() -> None:
    def f(**rest: Any) -> None: ...

    with pytest.raises(InvalidError, match="name its parameters"):
        call(f)


def test_what_stands_before_the_rest_is_given_before_it() -> None:
    def mixed(first: int, second: str = "s", *rest: str, last: bool = False) -> tuple[Any, ...]:
        return first, second, rest, last

    assert call(mixed, "--first", "1", "--last", "a", "b") == (1, "s", ("a", "b"), True)
    assert call(mixed, "--first", "1") == (1, "s", (), False)
