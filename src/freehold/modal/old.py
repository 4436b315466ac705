"""Names that Modal's client has given up and now rejects: they work here, with a warning that shows the new spelling."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from freehold.core.errors import DeprecationError
from freehold.sdk import decorators
from freehold.sdk.app import App
from freehold.sdk.call import FunctionCall
from freehold.sdk.former import unnamed
from freehold.sdk.image import Image
from freehold.sdk.network_file_system import NetworkFileSystem
from freehold.sdk.source import Files
from freehold.sdk.tracebacks import warn
from freehold.sdk.volume import Volume

F = TypeVar("F", bound=Callable[..., Any])


def Stub(*args: Any, **options: Any) -> App:  # noqa: N802 (Modal's name)
    """What is now `App`."""
    _old("modal.Stub(...)", "modal.App(...)")
    return App(*args, **options)


def web_endpoint(*misplaced: object, wait_for_response: bool = True, **options: Any) -> Callable[[F], F]:
    """What is now `fastapi_endpoint`."""
    _old("@modal.web_endpoint", "@modal.fastapi_endpoint")
    if not wait_for_response:
        warn(
            "@modal.web_endpoint(wait_for_response=False): the answer is waited for; start what is long with .spawn(...)"
        )
    return decorators.fastapi_endpoint(*misplaced, **options)


def build(*_: object, force: bool = False, timeout: float = 0) -> Callable[[F], F]:
    """A hook that ran when the image was built: now run once, before instances are forked."""
    del force, timeout
    _old("@modal.build()", "@modal.enter(snap=True), or Image.run_function for what belongs in the image")
    return decorators.enter(snap=True)


# ---- modal.gpu


def _gpu(name: str, shown: str = "") -> Callable[..., str]:
    def make(*, count: int = 1, size: str | None = None, memory: int | None = None) -> str:
        model = f"{name}-{size}" if size else f"{name}-80GB" if memory == 80 else name
        spelled = model if count == 1 else f"{model}:{count}"
        _old(f"gpu=modal.gpu.{shown or name}(...)", f"gpu={spelled!r}")
        return spelled

    make.__name__ = name
    return make


T4, L4, A10G, A100, L40S = _gpu("T4"), _gpu("L4"), _gpu("A10G"), _gpu("A100"), _gpu("L40S")
H100, H200, B200, Any_ = _gpu("H100"), _gpu("H200"), _gpu("B200"), _gpu("any", "Any")


# ---- modal.Mount


@dataclass(frozen=True)
class Mount:
    """Local files that go along with a function: what is now `Image.add_local_…`."""

    files: tuple[Files, ...] = ()

    @staticmethod
    def from_local_dir(
        local_path: str | os.PathLike[str],
        *,
        remote_path: str | None = None,
        condition: Callable[[str], bool] = lambda _: True,
        recursive: bool = True,
    ) -> "Mount":
        """A folder; `condition` is asked for each file's local path."""
        del recursive
        _old("modal.Mount.from_local_dir(...)", "Image.add_local_dir(...)")
        local = Path(local_path).expanduser().absolute()
        target = remote_path or f"/root/{local.name}"
        image = Image().add_local_dir(local, target, ignore=lambda path: not condition(str(local / path)))
        return Mount(image.files)

    @staticmethod
    def from_local_file(local_path: str | os.PathLike[str], remote_path: str | None = None) -> "Mount":
        _old("modal.Mount.from_local_file(...)", "Image.add_local_file(...)")
        local = Path(local_path).expanduser().absolute()
        return Mount(Image().add_local_file(local, remote_path or f"/root/{local.name}").files)

    @staticmethod
    def from_local_python_packages(*modules: str, condition: object = None) -> "Mount":
        del condition  # Python files go along
        _old("modal.Mount.from_local_python_packages(...)", "Image.add_local_python_source(...)")
        return Mount(Image().add_local_python_source(*modules).files)


# ---- modal.SharedVolume


class SharedVolume(NetworkFileSystem):
    """What NetworkFileSystem was called, whose place Volume has taken."""

    def __init__(self, volume: Volume | None = None) -> None:
        _old("modal.SharedVolume", "modal.Volume")
        super().__init__(volume or Volume.from_name(unnamed(), create_if_missing=True))

    def persist(self, label: str) -> NetworkFileSystem:
        """The one of this name."""
        return NetworkFileSystem.from_name(label, create_if_missing=True)


# ---- modal.functions


def gather(*calls: FunctionCall[Any]) -> list[Any]:
    """What is now `FunctionCall.gather`."""
    _old("modal.functions.gather(...)", "modal.FunctionCall.gather(...)")
    return FunctionCall.gather(*calls)


# ---- modal.runner


def deploy_app(app: App, name: str | None = None, environment_name: str = "", **_: Any) -> App:
    _old("modal.runner.deploy_app(app, ...)", "app.deploy(...)")
    return app.deploy(name=name, environment_name=environment_name or None)


@contextmanager
def run_app(app: App, **options: Any) -> Generator[App]:
    _old("modal.runner.run_app(app)", "app.run()")
    with app.run(detach=bool(options.get("detach"))) as running:
        yield running


def _old(was: str, now: str) -> None:
    warn(f"{was} is now {now}", DeprecationError)


__all__: Sequence[str] = (
    "A10G", "A100", "B200", "H100", "H200", "L4", "L40S", "T4", "Mount", "SharedVolume", "Stub", "build", "deploy_app", "gather", "run_app", "web_endpoint",
)  # fmt: skip
