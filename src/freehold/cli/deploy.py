"""`freehold deploy`: put an app on the server under its name, to stay."""

from typing import Annotated

import typer

from freehold.cli import logs
from freehold.cli.output import note
from freehold.cli.progress import Shown
from freehold.cli.running import expect_program
from freehold.sdk.loader import load_ref


def deploy(
    ref: Annotated[str, typer.Argument(metavar="FILE.py[::APP]", help="A program with an App.", show_default=False)],
    name: Annotated[
        str | None, typer.Option(help="Deploy under this name instead of the app's own.", show_default=False)
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(help="A word for this version, such as a commit; `app history` shows it.", show_default=False),
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="rolling: old instances serve until new ones are ready; recreate: they end first.")
    ] = "rolling",
    module: Annotated[bool, typer.Option("--module", "-m", help="REF is a module: package.module[::APP].")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build and check, but change nothing.")] = False,
    stream_logs: Annotated[
        bool, typer.Option("--stream-logs", help="Go on with what it writes, until Ctrl-C.")
    ] = False,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Put the time before each of those lines.")
    ] = False,
) -> None:
    """Deploy an app under its name, to stay: it is there after this command, and after the server starts again.

    Example: [bold]freehold deploy service.py --tag v3[/bold]
    """
    expect_program()
    loaded = load_ref(ref, module=module)
    shown = Shown()
    try:
        loaded.app.deploy(name=name, tag=tag, strategy=strategy, dry_run=dry_run, progress=shown)
    finally:
        shown.end()
    handle = loaded.app.handle
    assert handle is not None
    if dry_run:
        note("nothing was changed")
        return
    note(
        f"version {handle.version}; logs: freehold app logs {handle.name} -f; stop it: freehold app stop {handle.name}"
    )
    if stream_logs:
        logs.follow(handle.id, timestamps=timestamps)
