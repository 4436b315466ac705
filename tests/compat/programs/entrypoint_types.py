"""A local entrypoint with an argument of each type that the command line gives."""

# ruff: noqa: B006, ICN001, RUF013

import datetime
import enum
import typing
from pathlib import Path

import modal

app = modal.App("compat-entrypoint-types")


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@app.local_entrypoint()
def main(
    number: int,
    ratio: float = 0.5,
    flag: bool = False,
    when: datetime.datetime = None,
    anything: typing.Any = None,
    maybe: typing.Optional[int] = None,
    mode: typing.Literal["fast", "slow"] = "fast",
    level: typing.Literal[1, 2] = 1,
    path: Path = Path("."),
    size: Size = Size.SMALL,
    items: list[int] = [],
    plain="x",
):
    print(number, ratio, flag, when, anything, maybe, mode, level, path, size.name, items, plain)


@app.local_entrypoint()
def rest(*args):
    print(args)
