"""`freehold volume`: files that functions share, kept on the server."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import control, transfer
from freehold.cli.ask import AllowMissing, Json, Yes, confirm
from freehold.cli.output import ago, done, listing, size
from freehold.cli.table import Column
from freehold.core.errors import InvalidError, NotFoundError
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
def create(
    name: Name,
    version: Annotated[int | None, typer.Option(hidden=True, help="Taken for Modal's sake; there is one kind.")] = None,
) -> None:
    """Create an empty volume.

    Example: [bold]freehold volume create weights[/bold]
    """
    if version not in (None, 1, 2):
        raise InvalidError(f"--version={version} is neither 1 nor 2; leave it out: there is one kind of volume")
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
def cp(
    name: Name,
    paths: Annotated[list[str], typer.Argument(metavar="SOURCE… TARGET", help="Files in it; the last is where they go.", show_default=False)],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders, with all in them.")] = False,
) -> None:  # fmt: skip
    """Copy files within a volume: to a name, or into a folder.

    Example: [bold]freehold volume cp weights v1/model.onnx v2/model.onnx[/bold], [bold]freehold volume cp weights -r v1 backup/[/bold]
    """
    *sources, target = paths
    if not sources:
        raise InvalidError(f"cp {target}: give the files to copy, and last where they go")
    control.copy_files(control.connect(), name, sources, target, recursive=recursive)
    done(f"copied {', '.join(sources)} to {name}:{target}")


@app.command()
def rename(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.", show_default=False)],
    yes: Yes = False,
) -> None:
    """Give a volume another name. Apps that name the old one do not find it when their functions start next.

    Example: [bold]freehold volume rename weights weights-v1[/bold]
    """
    confirm(f"Rename volume {name!r} to {new!r}? Apps that use it under its old name will not find it.", yes=yes)
    control.rename_volume(control.connect(), name, new)
    done(f"volume {name} is now {new}")


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
def delete(name: Name, yes: Yes = False, allow_missing: AllowMissing = False) -> None:
    """Delete a volume with all its files.

    Example: [bold]freehold volume delete weights --yes[/bold]
    """
    confirm(f"Delete volume {name!r} and all its files?", yes=yes)
    try:
        control.delete_volume(control.connect(), name)
    except NotFoundError:
        if not allow_missing:
            raise
        return
    done(f"deleted volume {name}")


def _counted(files: Sequence[transfer.Copy]) -> str:
    return f"{len(files)} {'file' if len(files) == 1 else 'files'}"
