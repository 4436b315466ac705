"""`freehold`: the root command. A group's module is loaded when it is asked for, so that `freehold --help` stays quick."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup, TyperOption

from freehold.cli.errors import exit_code_of, report
from freehold.core.errors import Error
from freehold.core.oserrors import machine_error
from freehold.core.processes import open_standard_streams
from freehold.protocol.version import VERSION


class Entry(NamedTuple):
    """Where a command lives, and the line that `freehold --help` shows for it."""

    target: str  # module:attribute; a function, or a Typer with several
    summary: str
    panel: str


_SERVER, _RUN, _LOOK, _DATA = "Server", "Programs", "What runs", "Data"

_EVERYWHERE = ("plan", "python")  # ask no server for anything of an environment by themselves
COMMANDS: dict[str, Entry] = {
    "up": Entry("up:up", "Start the server on this machine.", _SERVER),
    "down": Entry("server:down", "Stop the server and everything it runs.", _SERVER),
    "status": Entry("server:status", "Show the server, its machine and its load.", _SERVER),
    "doctor": Entry("doctor:doctor", "Check this machine, and say how to fix what is missing.", _SERVER),
    "config": Entry("config:app", "Show the settings and where each comes from.", _SERVER),
    "run": Entry("run:app", "Run a program's function or local entrypoint.", _RUN),
    "deploy": Entry("deploy:deploy", "Deploy an app under its name, to stay.", _RUN),
    "serve": Entry("serve:serve", "Run an app, and again whenever its files change.", _RUN),
    "shell": Entry("shell:shell", "Open a shell where a function would run, or run a command there.", _RUN),
    "plan": Entry("plan:plan", "Show what a program would create, and what it costs an hour.", _RUN),
    "python": Entry("python:app", "Run a script as Python would; `import modal` in it is Freehold.", _RUN),
    "app": Entry("app:app", "List, read, stop and roll back apps.", _LOOK),
    "call": Entry("call:app", "List, show and cancel calls.", _LOOK),
    "instance": Entry("instance:app", "List, show and stop instances.", _LOOK),
    "profile": Entry("profile:app", "Choose the server that commands talk to.", _SERVER),
    "token": Entry("token:app", "Set the token for a server elsewhere.", _SERVER),
    "container": Entry("container:app", "List, read and stop containers: instances, as Modal calls them.", _LOOK),
    "environment": Entry("environment:app", "Keep apps and data apart, such as those of development.", _SERVER),
    "secret": Entry("secret:app", "Keep values that functions get as environment variables.", _DATA),
    "dict": Entry("dict:app", "Keep keys and values that programs share.", _DATA),
    "queue": Entry("queue:app", "Look into queues that programs share.", _DATA),
    "image": Entry("image:app", "List, read and delete built images.", _DATA),
    "volume": Entry("volume:app", "Keep files that functions share.", _DATA),
}


def load(name: str) -> Any:
    """Return the command behind an entry, ready to be invoked."""
    entry = COMMANDS[name]
    module, attribute = entry.target.split(":")
    target = getattr(importlib.import_module(f"freehold.cli.{module}"), attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(target)
        target = single
    command = typer.main.get_command(target)
    if entry.panel in (_RUN, _LOOK, _DATA) and name not in _EVERYWHERE:
        _take_environment(command)
    return command


def _take_environment(command: Any) -> None:
    """Let a command, or each of a group's, be told which environment it is about."""
    for one in getattr(command, "commands", {}).values():
        _take_environment(one)
    if not hasattr(command, "commands"):
        command.params.append(
            TyperOption(
                param_decls=["--env", "-e"], callback=_in_environment, expose_value=False, type=str, metavar="ENVIRONMENT",
                help="The environment that is meant; FREEHOLD_ENVIRONMENT by default, else main.",
            )
        )  # fmt: skip


def _in_environment(_context: Any, _parameter: Any, name: str | None) -> None:
    if name is not None:
        os.environ["FREEHOLD_ENVIRONMENT"] = name  # for what the command starts, too


class LazyGroup(TyperGroup):
    """Lists the entries without their modules, and loads the one that is to run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return (name, load(name), rest) if name in COMMANDS else (name, command, rest)


def _version(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(f"freehold {VERSION} (Python {sys.version.split()[0]})")
    raise typer.Exit


def _stub() -> Callable[[], None]:
    return lambda: None


root = typer.Typer(
    name="freehold",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@root.callback(epilog="Start with [bold]freehold up[/bold], then [bold]freehold run program.py[/bold].")
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),  # noqa: ARG001  # pyright: ignore[reportUnusedParameter]
    profile: str | None = typer.Option(
        None, "--profile", help="Talk to the server of this profile.", show_default=False
    ),
) -> None:
    """The GPU cloud you own: run and deploy Python functions on your own machine."""
    if profile is not None:
        os.environ["FREEHOLD_PROFILE"] = profile  # for what the command starts, too


for _name, _entry in COMMANDS.items():
    root.command(_name, help=_entry.summary, rich_help_panel=_entry.panel)(_stub())


def main() -> None:
    """Run the command line; every error of ours, or of the machine, ends as one message and its exit code."""
    _prepare_streams()
    try:
        typer.main.get_command(root).main(prog_name="freehold")
    except (Error, OSError) as error:
        told = error if isinstance(error, Error) else machine_error(error)
        if told is None:
            raise
        report(told)
        sys.exit(exit_code_of(told))


def _prepare_streams() -> None:
    """Write to nowhere what was closed, and a "?" for what the locale's encoding lacks."""
    open_standard_streams()
    sys.stdin = sys.stdin or Path(os.devnull).open()  # noqa: SIM115 (for as long as the process)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or Path(os.devnull).open("w")  # noqa: SIM115 (as above)
        stream.reconfigure(errors="replace")
        setattr(sys, name, stream)


if __name__ == "__main__":
    main()
