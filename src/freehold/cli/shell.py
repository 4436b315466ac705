"""`freehold shell`: a shell, or a command, in a sandbox with what a function has, or in one that runs."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import typer

from freehold.cli.ask import Pty
from freehold.cli.enter import enter
from freehold.cli.output import note
from freehold.cli.progress import Shown
from freehold.cli.running import expect_program
from freehold.core.errors import InvalidError
from freehold.core.ids import is_id
from freehold.core.specs import SandboxSpec
from freehold.sdk import shell as places
from freehold.sdk.image import Image
from freehold.sdk.loader import load_app
from freehold.sdk.sandbox import SandboxOptions, sandbox_spec
from freehold.sdk.secret import Secret
from freehold.sdk.source import Bundles
from freehold.sdk.volume import Volume

_SHELL = ("/bin/sh", "-c", "if [ -x /bin/bash ]; then exec /bin/bash; else exec /bin/sh; fi")
_APP = "shell"
_ALONE = "Where REF is not given: "


def shell(
    ref: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE.py[::NAME] | CONTAINER_ID]",
            help="A program, and the function or class in it whose image, files, secrets, volumes and resources are taken; or an instance or sandbox that runs.",
            show_default=False,
        ),
    ] = None,
    cmd: Annotated[
        str | None,
        typer.Option("--cmd", "-c", help="Run this instead of /bin/bash, and end with it.", show_default=False),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help=_ALONE + "an image of a registry; by default Debian.", show_default=False)
    ] = None,
    add_python: Annotated[
        str | None, typer.Option(help=_ALONE + "the version of Python in it.", show_default=False)
    ] = None,
    volume: Annotated[
        list[str] | None, typer.Option(help=_ALONE + "a volume, at /mnt/NAME.", show_default=False)
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(help=_ALONE + "a secret, as variables.", show_default=False)
    ] = None,
    add_local: Annotated[
        list[Path] | None, typer.Option(help=_ALONE + "a file or folder of here, below /mnt.", show_default=False)
    ] = None,
    cpu: Annotated[int | None, typer.Option(help=_ALONE + "cores.", show_default=False)] = None,
    memory: Annotated[int | None, typer.Option(help=_ALONE + "MiB.", show_default=False)] = None,
    gpu: Annotated[str | None, typer.Option(help=_ALONE + "such as A100 or L4:2.", show_default=False)] = None,
    pty: Pty = None,
    module: Annotated[bool, typer.Option("--module", "-m", help="REF is a module: package.module[::NAME].")] = False,
    cloud: Annotated[str | None, typer.Option(hidden=True)] = None,
    region: Annotated[str | None, typer.Option(hidden=True)] = None,
    runtime: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Open a shell in a sandbox with what a function's instances have, or run a command there. The sandbox ends with it.
    With the id of a container that runs the shell is in that one.

    It has a terminal where there is one here; else its streams are ours, and stdout is the command's alone.

    Example: [bold]freehold shell hello.py::square[/bold], [bold]freehold shell hello.py -c 'python -V' > version.txt[/bold],
    [bold]freehold shell --image python:3.12-slim --volume weights[/bold], [bold]freehold shell in-01a1fdbf16e7ac2d9ab87dac24c9[/bold]
    """
    argv = _SHELL if cmd is None else _split(cmd)
    for name in (n for n, v in (("cloud", cloud), ("region", region), ("runtime", runtime)) if v is not None):
        note(f"--{name} has no effect on a platform of your own")
    wanted = _Wanted(
        image=image, add_python=add_python, volume=tuple(volume or ()), secret=tuple(secret or ()), add_local=tuple(add_local or ()),
        cpu=cpu, memory=memory, gpu=gpu,
    )  # fmt: skip
    if ref is not None:
        _refuse_both(ref, vars(wanted))
    if ref is not None and (is_id(ref, "sb") or is_id(ref, "in")):
        raise typer.Exit(enter(ref, argv, pty=pty))
    name, make = (_APP, wanted.spec) if ref is None else _of_program(ref, module=module)
    shown = Shown()
    try:
        with places.opened(name, make, shown) as sandbox:
            shown.end()
            code = enter(sandbox.object_id, argv, pty=pty)
    finally:
        shown.end()
    raise typer.Exit(code)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """A sandbox as the options describe it."""

    image: str | None
    add_python: str | None
    volume: tuple[str, ...]
    secret: tuple[str, ...]
    add_local: tuple[Path, ...]
    cpu: int | None
    memory: int | None
    gpu: str | None

    def spec(self, bundles: Bundles) -> SandboxSpec:
        chosen = {
            "image": self._image(), "secrets": [Secret.from_name(name) for name in self.secret], "cpu": self.cpu, "memory": self.memory,
            "gpu": self.gpu, "volumes": {f"/mnt/{name}": Volume.from_name(name) for name in self.volume}, "timeout": places.LIFE_S,
        }  # fmt: skip
        return sandbox_spec((), cast(SandboxOptions, {k: v for k, v in chosen.items() if v is not None}), bundles)

    def _image(self) -> Image:
        made = (
            Image.debian_slim(self.add_python)
            if self.image is None
            else Image.from_registry(self.image, add_python=self.add_python)
        )
        for path in self.add_local:
            local = path.expanduser().absolute()
            inside = f"/mnt/{local.name}"
            made = made.add_local_dir(local, inside) if local.is_dir() else made.add_local_file(local, inside)
        return made


def _of_program(ref: str, *, module: bool) -> tuple[str, Callable[[Bundles], SandboxSpec]]:
    expect_program()
    _, app, name = load_app(ref, module=module)

    def make(bundles: Bundles) -> SandboxSpec:
        function = places.function_of(app, ref.partition("::")[0], name, bundles)
        for bucket in function.buckets:
            note(f"the bucket at {bucket.path} is not in the shell: sandboxes are given none")
        return places.like(function, bundles)

    return app.name or _APP, make


def _refuse_both(ref: str, options: Mapping[str, object]) -> None:
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value not in (None, ())]
    if given:
        raise InvalidError(f"{', '.join(given)}: a shell of {ref} has what that has; leave out one of them")


def _split(cmd: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(cmd))
    except ValueError as error:
        raise InvalidError(f"--cmd {cmd!r} cannot be split into words: {error}") from None
    if not words:
        raise InvalidError("--cmd is empty: give a program and its arguments, or leave it out for a shell")
    return words
