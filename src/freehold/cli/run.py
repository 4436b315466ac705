"""`freehold run`: run a local entrypoint, or one function, of a program while its app is up."""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from freehold.cli import entrypoint
from freehold.cli.errors import ExitCode
from freehold.cli.output import note, stderr
from freehold.cli.running import expect_program, report_user_error, running, value_shown
from freehold.core.errors import InvalidError
from freehold.sdk.app import App
from freehold.sdk.entrypoint import Entrypoint
from freehold.sdk.function import Function
from freehold.sdk.loader import ClsMethod, Runnable, load_ref

app = typer.Typer(add_completion=False, rich_markup_mode="rich")
_TYPES: dict[str, type] = {"str": str, "int": int, "bool": bool, "bytes": bytes}


@app.command("run", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False})
def run(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py[::NAME]",
            help="A program, and what to run in it: an entrypoint, a function, Cls.method. - reads the program from stdin.",
            show_default=False,
        ),
    ],
    args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OPTIONS OF THE PROGRAM", help="Its own options; see FILE.py --help.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the app in this run.", show_default=False)
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running: a function is started and not waited for.")
    ] = False,
    write_result: Annotated[
        Path | None,
        typer.Option(
            "--write-result", "-w", help="Write what it returns, str or bytes, to this file.", show_default=False
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only what the program writes.")] = False,
    module: Annotated[bool, typer.Option("--module", "-m", help="REF is a module: package.module[::NAME].")] = False,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Put the time before each line.")] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Lend it this terminal: breakpoint(), interact() and input().")
    ] = False,
) -> None:
    """Run a program's function or local entrypoint; its instances' output comes here as they write it.

    Ends with 1 when the program fails. Ctrl-C cancels what runs and stops the app; with --detach both go on.

    Example: [bold]freehold run hello.py[/bold], [bold]freehold run hello.py::square --x 3[/bold];
    [bold]freehold run hello.py --help[/bold] shows the program's own options.
    """  # fmt: skip
    if interactive:
        _check_terminal({"--quiet": quiet, "--detach": detach, "-": ref == "-"})
    expect_program()
    loaded = load_ref(ref, module=module)
    if name is not None:
        loaded.app.rename(name)
    target = loaded.target or loaded.app.registered_entrypoints.get("main")
    if target is None:
        raise InvalidError(_nothing_named(ref, loaded.choices))
    if write_result is not None and detach and not isinstance(target, Entrypoint):
        raise InvalidError("--write-result waits for the result, and --detach does not: leave one of them out")
    if write_result is not None and not write_result.parent.is_dir():
        raise InvalidError(f"--write-result {write_result}: there is no folder {write_result.parent}")
    program = f"freehold run {'-m ' if module else ''}{ref}"
    failure: list[BaseException] = []
    how = _How(detach=detach, quiet=quiet, timestamps=timestamps, write_result=write_result, interactive=interactive)
    call = _caller(loaded.app, target, failure, how)
    try:
        entrypoint.invoke(_plain(target), call, args or [], program=program)
    except KeyboardInterrupt:
        after = "the app goes on; see: freehold app list" if detach else "the app is stopped"
        stderr().print(f"interrupted: {after}", style="yellow")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if failure and isinstance(failure[0], BrokenPipeError):  # who reads our output has had enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.PROGRAM)
    if failure:
        raise typer.Exit(report_user_error(failure[0]))


@dataclass(frozen=True, kw_only=True)
class _How:
    detach: bool
    quiet: bool
    timestamps: bool
    write_result: Path | None
    interactive: bool


def _check_terminal(against: dict[str, bool]) -> None:
    for what, given in against.items():
        if given:
            raise InvalidError(
                f"--interactive lends the program this terminal, and {what} takes it away: leave one of them out"
            )


def _nothing_named(ref: str, choices: tuple[str, ...]) -> str:
    if not choices:
        return f"{ref} has nothing to run: write a function under @app.function() or @app.local_entrypoint()"
    return f"{ref} has several things to run: name one, as {ref}::{choices[0]} ({', '.join(choices)})"


def _caller(app_: App, target: Runnable, failure: list[BaseException], how: _How) -> Callable[..., Any]:
    """Return what runs the target with its parsed arguments, the app being up meanwhile; its failure is put aside."""

    def call(*args: Any, **kwargs: Any) -> None:
        with running(app_, detach=how.detach, quiet=how.quiet, timestamps=how.timestamps, interactive=how.interactive):
            try:
                _run_target(target, args, kwargs, how)
            except Exception as error:  # noqa: BLE001 (the user's: shown when the app is down and its output is here)
                failure.append(error)

    return call


def _run_target(target: Runnable, args: tuple[Any, ...], kwargs: dict[str, Any], how: _How) -> None:
    if isinstance(target, Entrypoint):
        value = target.run(*args, **kwargs)
        if how.write_result is not None:
            _write(how.write_result, value)
        return
    if isinstance(target, ClsMethod):
        target = target.of({name: kwargs.pop(name) for name in _cls_options(target)})
    if how.detach:
        _spawn(target, args, kwargs)
    elif how.write_result is not None:
        _write(how.write_result, target.remote(*args, **kwargs))
    else:
        _show_results(target, args, kwargs)


def _write(path: Path, value: Any) -> None:
    if not isinstance(value, (str, bytes)):
        raise InvalidError(f"--write-result takes str or bytes, and the result is of type {type(value).__name__}")
    try:
        path.write_bytes(value.encode() if isinstance(value, str) else value)
    except OSError as error:
        raise InvalidError(f"the result cannot be written to {path}: {error.strerror}") from None
    note(f"the result is in {path}")


def _spawn(function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    call = function.spawn(*args, **kwargs)
    print(call.object_id)
    note(f"it goes on without this terminal; see: freehold call show {call.object_id}")


def _show_results(function: Function[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if function.is_generator:
        for item in function.remote_gen(*args, **kwargs):
            print(value_shown(item), flush=True)
        return
    value = function.remote(*args, **kwargs)
    if value is not None:
        print(value_shown(value), flush=True)


def _plain(target: Runnable) -> Callable[..., Any]:
    """Return the user's function; a method without its `self`, and with the parameters of its class beside its own."""
    raw: Callable[..., Any] = target.raw
    if not isinstance(target, ClsMethod):
        return raw
    beside = _cls_options(target)

    def method(**_: Any) -> None: ...

    method.__name__, method.__doc__ = raw.__name__, raw.__doc__
    own = list(inspect.signature(raw).parameters.values())[1:]
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        sorted([*own, *beside.values()], key=lambda p: p.kind)
    )
    hints = {k: v for k, v in raw.__annotations__.items() if k != "return"}
    method.__annotations__ = hints | {name: p.annotation for name, p in beside.items()}
    return method


def _cls_options(target: ClsMethod) -> dict[str, inspect.Parameter]:
    """The class's parameters that the command line can give and that the method has no other meaning for."""
    own = inspect.signature(target.raw).parameters
    return {
        p.name: inspect.Parameter(
            p.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if p.required else p.default,
            annotation=_TYPES[p.type],
        )
        for p in target.parameters
        if p.name not in own and (p.required or p.type != "bytes")
    }
