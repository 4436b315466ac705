"""`freehold volume`: files that functions share, kept on the server."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import control, transfer
from freehold.cli.ask import Json, Yes, confirm
from freehold.cli.output import ago, done, listing, size
from freehold.cli.table import Column
from freehold.protocol.schemas import FileView, VolumeView

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keep files that functions share.")
Name = Annotated[str, typer.Argument(metavar="VOLUME", help="Name of the volume.", show_default=False)]

_VOLUMES: list[Column[VolumeView]] = [
    Column("NAME", lambda v: v.name),
    Column("CREATED", lambda v: ago(v.created)),
]
_FILES: list[Column[FileView]] = [
    Column("PATH", lambda f: f.path + ("/" if f.type == "directory" else "")),
    Column("TYPE", lambda f: f.type, spare=2),
    Column("SIZE", lambda f: size(f.bytes) if f.type == "file" else "", right=True),
    Column("MODIFIED", lambda f: ago(f.modified), spare=1),
]


@app.command()
def create(name: Name) -> None:
    """Create an empty volume.

    Example: [bold]freehold volume create weights[/bold]
    """
    control.create_volume(control.connect(), name)
    done(f"volume {name}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List volumes.

    Example: [bold]freehold volume list --json[/bold]
    """
    listing(control.volumes(control.connect()), _VOLUMES, as_json=as_json, empty="no volumes")


@app.command()
def ls(
    name: Name, path: Annotated[str, typer.Argument(help="A folder in it.")] = "/",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="All that lies beneath.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """List the files of a volume.

    Example: [bold]freehold volume ls weights /v2 --recursive[/bold]
    """
    rows = control.files(control.connect(), name, path, recursive=recursive)
    listing(rows, _FILES, as_json=as_json, empty=f"{path} is empty")


@app.command()
def put(
    name: Name,
    local: Annotated[Path, typer.Argument(exists=True, help="A file or a folder here.", show_default=False)],
    remote: Annotated[str, typer.Argument(help="Where it goes; a path that ends in / is a folder.")] = "/",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace files that are there.")] = False,
) -> None:
    """Copy a file or a folder into a volume.

    Example: [bold]freehold volume put weights ./model.onnx /v2/[/bold]
    """
    files, target = transfer.put(control.connect(), name, local, remote, force=force)
    done(f"{_counted(files)}, {size(sum(f.bytes for f in files))}, to {name}:/{target}")


@app.command()
def get(
    name: Name,
    remote: Annotated[str, typer.Argument(help="A file, a folder or a pattern in it.", show_default=False)],
    local: Annotated[str, typer.Argument(help="Where it goes; - is stdout.")] = ".",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are here.")] = False,
) -> None:
    """Copy a file, a folder, or the files that a pattern names, out of a volume.

    Example: [bold]freehold volume get weights /v2/model.onnx ./model.onnx[/bold], [bold]freehold volume get weights 'v2/*.json' ./here[/bold]
    """
    api = control.connect()
    if local == "-":
        for chunk in control.get_file(api, name, remote):
            sys.stdout.buffer.write(chunk)
        return
    files = transfer.get(api, name, remote, Path(local), force=force)
    done(f"{_counted(files)}, {size(sum(f.bytes for f in files))}, to {local}")


@app.command()
def rm(
    name: Name,
    path: Annotated[str, typer.Argument(help="A file or a folder in it.", show_default=False)],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="A folder, with all in it.")] = False,
) -> None:
    """Remove a file or a folder from a volume.

    Example: [bold]freehold volume rm weights /v1 --recursive[/bold]
    """
    control.remove_file(control.connect(), name, path, recursive=recursive)
    done(f"removed {name}:{path}")


@app.command()
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a volume with all its files.

    Example: [bold]freehold volume delete weights --yes[/bold]
    """
    confirm(f"Delete volume {name!r} and all its files?", yes=yes)
    control.delete_volume(control.connect(), name)
    done(f"deleted volume {name}")


def _counted(files: Sequence[transfer.Copy]) -> str:
    return f"{len(files)} {'file' if len(files) == 1 else 'files'}"
