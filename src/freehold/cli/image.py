"""`freehold image`: the environments that were built on the server."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from freehold.cli import control
from freehold.cli.ask import Json, Yes, confirm, moment
from freehold.cli.output import ago, done, duration, facts, listing, print_json, size, state
from freehold.cli.table import Column
from freehold.protocol.schemas import ImageView

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, read and delete built images.")
Ref = Annotated[str, typer.Argument(metavar="IMAGE", help="Id, digest or NAME:TAG of an image.", show_default=False)]

_IMAGES: list[Column[ImageView]] = [
    Column("IMAGE", lambda i: i.id),
    Column("NAMES", lambda i: ", ".join(i.names), prose=True, spare=1),
    Column("STATE", lambda i: state(i.state)),
    Column("SIZE", lambda i: size(i.size_bytes), right=True),
    Column("BUILT", lambda i: ago(i.created)),
    Column("USED", lambda i: ago(i.used), spare=3),
    Column("APPS", lambda i: ", ".join(i.apps), prose=True, spare=2),
]


def _plain(view: ImageView) -> dict[str, Any]:
    return {"id": view.id} | asdict(view)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List images, the newest first.

    Example: [bold]freehold image list[/bold]
    """
    found = control.images(control.connect())
    if as_json:
        print_json([_plain(view) for view in found])
    else:
        listing(found, _IMAGES, as_json=False, empty="no images")


@app.command()
def show(image: Ref, as_json: Json = False) -> None:
    """Show one image: its steps, its size and what uses it.

    Example: [bold]freehold image show im-9f86d081884c7d659a2feaa0[/bold]
    """
    view = control.image(control.connect(), image)
    if as_json:
        print_json(_plain(view))
        return
    facts(
        [
            ("image", view.id), ("names", ", ".join(view.names)), ("digest", view.digest), ("state", state(view.state)),
            ("built", ago(view.created)), ("took", duration(view.build_s)), ("size", size(view.size_bytes)), ("used", ago(view.used)),
            ("apps", ", ".join(view.apps)), ("error", view.error), *(("step", step) for step in view.steps),
        ]
    )  # fmt: skip


@app.command()
def logs(image: Ref) -> None:
    """Read what an image's build wrote; of one that goes on, until its end.

    Example: [bold]freehold image logs im-9f86d081884c7d659a2feaa0[/bold]
    """
    for line in control.image_log(control.connect(), image):
        print(line, flush=True)


@app.command()
def delete(image: Ref, yes: Yes = False) -> None:
    """Delete an image that nothing uses; it is built again when a program asks for it.

    Example: [bold]freehold image delete im-9f86d081884c7d659a2feaa0 --yes[/bold]
    """
    api = control.connect()
    view = control.image(api, image)
    confirm(f"Delete image {image} ({size(view.size_bytes) or view.state})?", yes=yes)
    control.delete_image(api, view.digest)
    done(f"deleted image {image}")


@app.command()
def prune(
    unused: Annotated[
        str | None, typer.Option(help="Only those unused since: 10m, 2h, 3d ago, or a local time.", show_default=False)
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete the images that no app uses and that have no name.

    Example: [bold]freehold image prune --unused 7d --yes[/bold]
    """
    since = moment(unused, "--unused")
    which = "that nothing uses" if unused is None else f"that nothing used since {unused}"
    confirm(f"Delete all images without a name {which}?", yes=yes)
    result = control.prune_images(control.connect(), 0.0 if since is None else max(0.0, time.time() - since))
    if as_json:
        print_json(result)
    else:
        count = len(result.deleted)
        done(f"deleted {count} {'image' if count == 1 else 'images'}, {size(result.freed_bytes)}")


names = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List images by their names.\n\nExample: [bold]freehold image names list[/bold]",
)
app.add_typer(names, name="names", hidden=True)  # as Modal's users know it


@names.command("list")
def list_names(
    prefix: Annotated[str, typer.Option(help="Only names that begin so.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """List the names under which images were published.

    Example: [bold]freehold image names list --prefix team-[/bold]
    """
    rows = [view for view in control.images(control.connect()) if any(name.startswith(prefix) for name in view.names)]
    pairs = sorted((name, view.id) for view in rows for name in view.names if name.startswith(prefix))
    if as_json:
        print_json([{"name": name, "id": image} for name, image in pairs])
    else:
        listing(pairs, _NAMES, as_json=False, empty="no names")


_NAMES: list[Column[tuple[str, str]]] = [Column("NAME", lambda p: p[0]), Column("IMAGE", lambda p: p[1])]
