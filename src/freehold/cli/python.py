"""`freehold python`: a script as `python` runs it, in which `import modal` is Freehold."""

import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from freehold.cli.errors import ExitCode
from freehold.cli.running import expect_program, report_user_error
from freehold.core.errors import InvalidError, NotFoundError

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command("python", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def python(
    args: Annotated[
        list[str],
        typer.Argument(
            metavar="[-m MODULE | -c CODE | FILE.py | -] [ARGUMENTS]",
            help="As `python` takes them.",
            show_default=False,
        ),
    ],
) -> None:
    """Run a script with this Python; `import modal` in it is Freehold, so that `with app.run():` works as it stands.

    Example: [bold]freehold python train.py --epochs 3[/bold]
    """
    run = _runner(args)
    expect_program()
    try:
        run()
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 (the program's)
        raise typer.Exit(report_user_error(error)) from None


def _runner(args: list[str]) -> Any:
    """What runs as `__main__`, with `sys.argv` and `sys.path` as Python would have them."""
    first, *rest = args
    if first == "-":
        sys.argv, sys.path[0] = args, str(Path.cwd())
        return lambda: _run_code(sys.stdin.read(), "<stdin>")
    if first not in ("-m", "-c"):
        if not Path(first).is_file():
            raise NotFoundError(f"{first!r} is not a file here; for a module write -m {first}")
        sys.argv, sys.path[0] = args, str(Path(first).resolve().parent)
        return lambda: runpy.run_path(first, run_name="__main__")
    if not rest:
        raise InvalidError(f"{first} wants {'the name of a module' if first == '-m' else 'code'} after it")
    sys.argv, sys.path[0] = [first, *rest[1:]], str(Path.cwd())
    if first == "-m":
        return lambda: runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    return lambda: _run_code(rest[0], "<string>")


def _run_code(code: str, where: str) -> None:
    """Run code of no file as `__main__`, whose functions then go along by value."""
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(code, where, "exec"), vars(main))  # noqa: S102 (what the user asked for)
