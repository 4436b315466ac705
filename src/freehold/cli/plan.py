"""`freehold plan`: what a program would create, and what an hour of it costs, without running it."""

from typing import Annotated

import typer
from rich.text import Text

from freehold.cli.ask import Json
from freehold.cli.output import facts, listing, print_json, size, stdout
from freehold.cli.running import expect_program
from freehold.cli.table import Column
from freehold.core.home import Home
from freehold.core.prices import load
from freehold.sdk.context import PlanEndsError, planning
from freehold.sdk.loader import load_ref
from freehold.sdk.plan import Plan, PlannedFunction, PlannedImage, declared_before
from freehold.sdk.plan import plan as work_out

_SHORT = 12


def _scale(f: PlannedFunction) -> str:
    return f"{f.min_instances}+" if f.max_instances is None else f"{f.min_instances} to {f.max_instances}"


def _price(usd: float | None) -> str:
    return "no price" if usd is None else f"${usd:.3f}"


_FUNCTIONS: list[Column[PlannedFunction]] = [
    Column("FUNCTION", lambda f: f.name),
    Column("KIND", lambda f: ("web " if f.endpoints else "") + f.kind, spare=5),
    Column("IMAGE", lambda f: f.image[:_SHORT], spare=3),
    Column("CPU", lambda f: f"{f.cpu:g}", right=True),
    Column("MEMORY MIB", lambda f: f.memory_mib, right=True),
    Column("GPU", lambda f: " or ".join(f.gpu)),
    Column("TIMEOUT S", lambda f: f"{f.timeout_s:g}", right=True, spare=4),
    Column("INSTANCES", _scale, right=True),
    Column("AN HOUR", lambda f: _price(f.usd_hour), right=True),
    Column("SECRETS", lambda f: f.secrets, prose=True, spare=1),
    Column("VOLUMES", lambda f: f.volumes, prose=True, spare=2),
]
_IMAGES: list[Column[PlannedImage]] = [
    Column("IMAGE", lambda i: i.digest[:_SHORT]),
    Column("STEPS", lambda i: " → ".join(i.steps), prose=True),
    Column("FUNCTIONS", lambda i: i.functions, prose=True, spare=1),
]


def plan(
    ref: Annotated[str, typer.Argument(metavar="FILE.py[::APP]", help="A program with an App.", show_default=False)],
    module: Annotated[bool, typer.Option("--module", "-m", help="REF is a module: package.module[::APP].")] = False,
    as_json: Json = False,
) -> None:
    """Show what a program would create: its functions, images, files, and what an hour of each instance costs. Nothing is run or sent:
    a program that asks a server for something as it is loaded is read up to there.

    Prices are those of prices.toml in the home, over Freehold's own.

    Example: [bold]freehold plan service.py[/bold]
    """
    expect_program()
    with planning():
        try:
            app, ends = load_ref(ref, module=module).app, None
        except PlanEndsError as error:
            app, ends = declared_before(error)
        found = work_out(app, load(Home.default()), ends)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: Plan) -> None:
    facts(
        [
            ("app", found.app or "(no name: it can be run, not deployed)"), ("from", found.program),
            ("entrypoints", ", ".join(found.entrypoints)), ("files", f"{found.files} {'archive' if found.files == 1 else 'archives'}, {size(found.files_bytes)}"),
            ("at rest", f"{_price(found.usd_hour_at_rest)} an hour"), *([("read up to", found.ends)] if found.ends else []),
        ]
    )  # fmt: skip
    stdout().print(Text(""))
    listing(list(found.functions), _FUNCTIONS, as_json=False, empty="no functions")
    if found.images:
        stdout().print(Text(""))
        listing(list(found.images), _IMAGES, as_json=False, empty="")
