"""The sandbox that `freehold shell` opens: with all that a function's instances have, or with what its options name."""

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path

import freehold
from freehold.core.errors import Error, InvalidError, NotFoundError
from freehold.core.specs import AppSpec, FunctionSpec, SandboxSpec
from freehold.core.suggest import did_you_mean
from freehold.protocol.schemas import SandboxRequest
from freehold.sdk import client, running
from freehold.sdk.app import App
from freehold.sdk.running import Progress
from freehold.sdk.sandbox import Sandbox, start
from freehold.sdk.source import Bundles, Files

_LIBRARY = "/opt/freehold/lib"  # where the path of every image looks for it, seen from the image's place in a sandbox
LIFE_S = 24 * 3600  # of a shell that somebody forgets


def function_of(app: App, ref: str, name: str, bundles: Bundles) -> FunctionSpec:
    """The function, or the class, of this name; without a name the only one."""
    specs = {spec.name: spec for spec in app.spec(bundles).functions}
    if not specs:
        raise InvalidError(f"{ref} has no function to take a shell's surroundings from: leave it out, or give --image")
    if not name:
        if len(specs) == 1:
            return next(iter(specs.values()))
        raise InvalidError(f"{ref} has several functions: name one, as {ref}::{min(specs)} ({', '.join(specs)})")
    owner, _, method = name.partition(".")
    found = specs.get(owner)
    if found is None or (method and method not in [m.name for m in found.methods]):
        known = [*specs, *(f"{s.name}.{m.name}" for s in specs.values() for m in s.methods)]
        hint = did_you_mean(name, known) or f": it has {', '.join(known)}"
        raise NotFoundError(f"{ref} has no function {name!r}{hint}")
    return found


def like(function: FunctionSpec, bundles: Bundles) -> SandboxSpec:
    """A sandbox with what the function's instances have, `import modal` among it. Buckets are not given to what is held apart."""
    return SandboxSpec(
        image=function.image, mounts=(*function.mounts, *bundles.mounts(_library())), env=function.env, secrets=function.secrets, volumes=function.volumes,
        resources=function.resources, block_network=function.block_network, timeout_s=float(LIFE_S),
    )  # fmt: skip


def _library() -> list[Files]:
    """What programs import as `modal`; sandboxes have none of it by themselves."""
    package = Path(freehold.__file__).resolve().parent
    return [
        Files(local=package, remote=f"{_LIBRARY}/freehold", ignore=lambda path: "__pycache__" in path.parts),
        Files(
            local=package / "modal/shim/modal",
            remote=f"{_LIBRARY}/modal",
            ignore=lambda path: "__pycache__" in path.parts,
        ),
    ]


@contextlib.contextmanager
def opened(name: str, make: Callable[[Bundles], SandboxSpec], progress: Progress) -> Generator[Sandbox, None, None]:
    """Have a sandbox in an app of its own while the block lasts."""
    now = client.current()
    with Bundles() as bundles:
        spec = make(bundles)
        handle = running.create(now, AppSpec(name=name), bundles, mode="ephemeral", progress=progress)
        try:
            sandbox = Sandbox(start(SandboxRequest(app=handle.id, spec=spec), bundles, progress))
            try:
                yield sandbox
            finally:
                with contextlib.suppress(Error):  # the server is gone, and the sandbox with it
                    sandbox.terminate()
        finally:
            with contextlib.suppress(Error):
                running.stop(now.api, handle.id)
