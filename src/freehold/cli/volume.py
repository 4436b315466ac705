"""`freehold volume`: files that functions share, kept on the server."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from freehold.cli import control
from freehold.cli.ask import Json, Yes, confirm
from freehold.cli.output import ago, done, listing, size
from freehold.cli.table import Column
from freehold.core.errors import AlreadyExistsError, NotFoundError
from freehold.protocol.schemas import FileView, VolumeView
from freehold.sdk.http import Api

app = typer.Typer(no_args_is_help=True, help="Keep files that functions share.")
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
    """Create an empty volume."""
    control.create_volume(control.connect(), name)
    done(f"volume {name}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List volumes."""
    listing(control.volumes(control.connect()), _VOLUMES, as_json=as_json, empty="no volumes")


@app.command()
def ls(
    name: Name, path: Annotated[str, typer.Argument(help="A folder in it.")] = "/",
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="All that lies beneath.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """List the files of a volume."""
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
    api, count, total = control.connect(), 0, 0
    target = PurePosixPath("/", remote, local.resolve().name) if remote.endswith("/") else PurePosixPath("/", remote)
    for source, relative in _local_files(local):
        control.put_file(api, name, source, str(target / relative), force=force)
        count, total = count + 1, total + source.stat().st_size
    done(f"{count} {'file' if count == 1 else 'files'}, {size(total)}, to {name}:{target}")


@app.command()
def get(
    name: Name,
    remote: Annotated[str, typer.Argument(help="A file or a folder in it.", show_default=False)],
    local: Annotated[str, typer.Argument(help="Where it goes; - is stdout.")] = ".",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are here.")] = False,
) -> None:
    """Copy a file or a folder out of a volume.

    Example: [bold]freehold volume get weights /v2/model.onnx ./model.onnx[/bold]
    """
    api = control.connect()
    if local == "-":
        for chunk in control.get_file(api, name, remote):
            sys.stdout.buffer.write(chunk)
        return
    count = 0
    for path, target in _remote_files(api, name, remote, Path(local)):
        _download(api, f"{name}:{path}", target, force=force)
        count += 1
    done(f"{count} {'file' if count == 1 else 'files'} to {local}")


@app.command()
def rm(
    name: Name,
    path: Annotated[str, typer.Argument(help="A file or a folder in it.", show_default=False)],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="A folder, with all in it.")] = False,
) -> None:
    """Remove a file or a folder from a volume."""
    control.remove_file(control.connect(), name, path, recursive=recursive)
    done(f"removed {name}:{path}")


@app.command()
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a volume with all its files."""
    confirm(f"Delete volume {name!r} and all its files?", yes=yes)
    control.delete_volume(control.connect(), name)
    done(f"deleted volume {name}")


def _local_files(local: Path) -> Iterator[tuple[Path, str]]:
    """Files to copy, each with its place under the target; a lone file is the target itself."""
    if local.is_file():
        yield local, "."
        return
    for folder, _, names in os.walk(local):
        for file in sorted(names):
            path = Path(folder) / file
            yield path, path.relative_to(local).as_posix()


def _remote_files(api: Api, volume: str, remote: str, local: Path) -> Iterator[tuple[str, Path]]:
    """Files to fetch, each with where it goes: into `local` where that is a folder."""
    wanted = remote.strip("/")
    parent, leaf = PurePosixPath("/" + wanted).parent, PurePosixPath(wanted).name
    found = next((f for f in control.files(api, volume, str(parent)) if PurePosixPath(f.path).name == leaf), None)
    if wanted and found is None:
        raise NotFoundError(f"volume {volume!r} has no {remote!r}; see `freehold volume ls {volume} {parent}`")
    if found is not None and found.type != "directory":
        yield wanted, local / leaf if local.is_dir() else local
        return
    base = local / leaf if leaf and local.is_dir() else local
    for file in control.files(api, volume, "/" + wanted, recursive=True):
        if file.type == "file":
            yield file.path, base / PurePosixPath(file.path.strip("/")).relative_to(wanted)


def _download(api: Api, source: str, target: Path, *, force: bool) -> None:
    if target.exists() and not force:
        raise AlreadyExistsError(f"{str(target)!r} is here already; pass --force to replace it")
    target.parent.mkdir(parents=True, exist_ok=True)
    volume, _, path = source.partition(":")
    part = target.with_name(target.name + ".part")  # so that a broken download leaves no half file under the real name
    try:
        with part.open("wb") as file:
            for chunk in control.get_file(api, volume, path):
                file.write(chunk)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
