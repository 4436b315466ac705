"""Image: a recipe for an environment, built step by step. Each method returns a new image."""

import base64
import functools
import os
import re
import sys
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from types import CodeType, FunctionType
from typing import Any, Literal, TypedDict, Unpack, cast

from freehold.core.errors import InvalidError, UnimplementedError
from freehold.core.specs import ImageSpec, ImageStep
from freehold.sdk.checks import is_amount, known_options, many, mounts, strings, variables
from freehold.sdk.context import is_local
from freehold.sdk.secret import Secret
from freehold.sdk.source import Bundles, Files, Ignore, local_module
from freehold.sdk.volume import Volume

Step = ImageStep | Callable[[Bundles], ImageStep]
Packages = str | Sequence[str]
Local = str | os.PathLike[str]
_PYTHON_VERSION = re.compile(r"3\.\d+(\.\d+)?")
Shell = Literal["entrypoint", "cmd", "shell"]
Texts = Literal["apt_install", "run_commands", "dockerfile_commands"]


class PipOptions(TypedDict, total=False):
    """Options of `pip_install` and `uv_pip_install`; the last five change nothing here and are taken as Modal's."""

    find_links: str | None
    index_url: str | None
    extra_index_url: str | None
    pre: bool
    extra_options: str
    env: Mapping[str, str]
    secrets: Sequence[Secret]
    gpu: object
    force_build: bool
    uv_version: str | None


class SyncOptions(TypedDict, total=False):
    """Options of `uv_sync`; all but `env` change nothing here and are taken as Modal's."""

    env: Mapping[str, str]
    secrets: Sequence[Secret]
    gpu: object
    force_build: bool
    uv_version: str | None


class StepOptions(TypedDict, total=False):
    """Options of `apt_install`, `run_commands` and `dockerfile_commands`; all but `env` change nothing here and are taken as Modal's."""

    env: Mapping[str, str]
    secrets: Sequence[Secret]
    volumes: Mapping[str, Volume]
    gpu: object
    force_build: bool
    context_files: object
    context_mount: object
    context_dir: object
    ignore: object


class ContainerOptions(TypedDict, total=False):
    """Options of steps that a container's builder takes; none changes anything here, and all are taken as Modal's."""

    force_build: bool
    secret: Secret | None
    secrets: Sequence[Secret]
    gpu: object
    context_dir: object
    build_args: Mapping[str, str]
    ignore: object
    env: Mapping[str, str]
    spec_file: Local | None


class BuildOptions(TypedDict, total=False):
    """Options of `run_function`; resources are those of the machine that builds."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    secrets: Sequence[Secret]
    volumes: Mapping[str, Volume]
    timeout: float
    gpu: object
    cpu: object
    memory: object
    cloud: object
    region: object
    force_build: bool
    include_source: bool
    network_file_systems: object


class Image:
    """Begin with `Image.debian_slim()`; nothing is built before an app that uses it runs."""

    def __init__(
        self, steps: tuple[Step, ...] = (), files: tuple[Files, ...] = (), copied: tuple[Files, ...] = ()
    ) -> None:
        self._steps = steps
        self.copied = copied  # local files that are part of the environment
        self.files = files  # laid out when an instance starts; they do not rebuild the environment

    def spec(self, bundles: Bundles) -> ImageSpec:
        """The recipe, with the tars of copied files added to `bundles`."""
        return ImageSpec(steps=tuple(s if isinstance(s, ImageStep) else s(bundles) for s in self._steps))

    # ---- where it begins

    @staticmethod
    def debian_slim(python_version: str | None = None, *, force_build: bool = False) -> "Image":
        """Debian with Python; `python_version` such as "3.12", by default the one that runs here."""
        del force_build  # recipes are content-addressed; `freehold` rebuilds with its own flag
        return Image((ImageStep(kind="debian_slim", args={"python_version": _python(python_version)}),))

    @staticmethod
    def from_registry(
        tag: str, *, add_python: str | None = None, setup_dockerfile_commands: Sequence[str] = (), **options: Unpack[ContainerOptions]
    ) -> "Image":  # fmt: skip
        """A container image; needs the container launcher."""
        where = "Image.from_registry"
        known_options(options, ContainerOptions.__annotations__, where)
        tag = strings(tag, where)[0]
        args = {
            "tag": tag,
            "add_python": add_python,
            "setup_dockerfile_commands": strings(setup_dockerfile_commands, where),
        }
        return Image((ImageStep(kind="from_registry", args=args),))

    @staticmethod
    def from_dockerfile(path: Local, *, add_python: str | None = None, **options: Unpack[ContainerOptions]) -> "Image":
        """What a Dockerfile builds; needs the container launcher."""
        known_options(options, ContainerOptions.__annotations__, "Image.from_dockerfile")
        args = {"dockerfile": _read(path), "add_python": add_python}
        return Image((ImageStep(kind="from_dockerfile", args=args),))

    @staticmethod
    def micromamba(python_version: str | None = None, *, force_build: bool = False) -> "Image":
        """Needs the container launcher."""
        del force_build  # as in `debian_slim`
        return Image((ImageStep(kind="micromamba", args={"python_version": _python(python_version)}),))

    # ---- packages

    def pip_install(self, *packages: Packages, **options: Unpack[PipOptions]) -> "Image":
        """Install packages, as `pip install` would."""
        return self._pip("pip_install", packages, (), options)

    def uv_pip_install(
        self, *packages: Packages, requirements: Sequence[Local] = (), **options: Unpack[PipOptions]
    ) -> "Image":
        """Install packages with uv; `requirements` are local files of them."""
        return self._pip("uv_pip_install", packages, requirements, options)

    def pip_install_from_requirements(self, requirements_txt: Local, **options: Unpack[PipOptions]) -> "Image":
        return self._pip("pip_install", (), (requirements_txt,), options)

    def pip_install_from_pyproject(
        self, pyproject_toml: Local, optional_dependencies: Sequence[str] = (), **options: Unpack[PipOptions]
    ) -> "Image":
        """Install the dependencies that a pyproject.toml lists."""
        import tomllib

        project = tomllib.loads(_read(pyproject_toml)).get("project", {})
        packages: list[str] = list(project.get("dependencies", ()))
        for group in optional_dependencies:
            packages += project.get("optional-dependencies", {}).get(group, ())
        return self._pip("pip_install", tuple(packages), (), options)

    def uv_sync(
        self,
        uv_project_dir: Local = "./",
        *,
        groups: Sequence[str] = (),
        extras: Sequence[str] = (),
        frozen: bool = True,
        extra_options: str = "",
        **options: Unpack[SyncOptions],
    ) -> "Image":
        """Install what a uv project's lock file lists; `extra_options` are flags of `uv sync`."""
        known_options(options, SyncOptions.__annotations__, "Image.uv_sync")
        _no_secrets(options, "Image.uv_sync")
        folder = Path(uv_project_dir)
        lock = folder / "uv.lock"
        args = {
            "pyproject": _read(folder / "pyproject.toml"), "lock": _read(lock) if lock.exists() else None,
            "groups": strings(groups, "Image.uv_sync: groups"), "extras": strings(extras, "Image.uv_sync: extras"), "frozen": frozen,
        }  # fmt: skip
        if extra_options:
            args["extra_options"] = strings(extra_options, "Image.uv_sync: extra_options")[0]
        env = options.get("env")
        return (self.env(env) if env else self)._then(ImageStep(kind="uv_sync", args=args))

    def apt_install(self, *packages: Packages, **options: Unpack[StepOptions]) -> "Image":
        """Debian packages; without the container launcher only those that the host has."""
        return self._texts("apt_install", "packages", packages, options)

    def micromamba_install(
        self, *packages: Packages, channels: Sequence[str] = (), **options: Unpack[ContainerOptions]
    ) -> "Image":
        where = "Image.micromamba_install"
        known_options(options, ContainerOptions.__annotations__, where)
        args = {"packages": strings(packages, where), "channels": strings(channels, f"{where}: channels")}
        return self._then(ImageStep(kind="micromamba", args=args))

    # ---- other steps

    def run_commands(self, *commands: Packages, **options: Unpack[StepOptions]) -> "Image":
        """Run shell commands in the environment."""
        return self._texts("run_commands", "commands", commands, options)

    def run_function(self, raw_f: Callable[..., Any], **options: Unpack[BuildOptions]) -> "Image":
        """Run a function in the environment, such as one that downloads weights; again only when its code changes."""
        if not isinstance(raw_f, FunctionType):
            msg = f"run_function({raw_f!r}): give a plain function, without @app.function"
            raise InvalidError(msg)
        _check_build(options)
        if not is_local():
            return self
        return self._then(lambda _: _run_function(raw_f, options))

    def env(self, vars: Mapping[str, str]) -> "Image":  # noqa: A002 (Modal's name)
        """Set environment variables, for later steps and in instances."""
        return self._then(ImageStep(kind="env", args={"vars": variables(vars, "Image.env")}))

    def workdir(self, path: str | PurePosixPath) -> "Image":
        """Set the working directory."""
        where = path if isinstance(path, PurePosixPath) else strings(path, "Image.workdir")[0]
        return self._then(ImageStep(kind="workdir", args={"path": str(where)}))

    def dockerfile_commands(self, *commands: Packages, **options: Unpack[StepOptions]) -> "Image":
        return self._texts("dockerfile_commands", "commands", commands, options)

    def entrypoint(self, entrypoint_commands: Sequence[str]) -> "Image":
        return self._words("entrypoint", entrypoint_commands)

    def cmd(self, cmd: Sequence[str]) -> "Image":
        return self._words("cmd", cmd)

    def shell(self, shell_commands: Sequence[str]) -> "Image":
        return self._words("shell", shell_commands)

    # ---- local files

    def add_local_file(self, local_path: Local, remote_path: str, *, copy: bool = False) -> "Image":
        """Add a file; a `remote_path` that ends in `/` is a folder. `copy=True` makes it part of the image, for later steps."""
        folder = _absolute(remote_path)
        files = _local(local_path, folder)
        if files.local.is_dir():
            msg = f"Image.add_local_file: {str(local_path)!r} is a folder: use add_local_dir"
            raise InvalidError(msg)
        if remote_path.endswith("/"):
            files = replace(files, remote=f"{folder}/{files.local.name}")
        return self._add([files], copy=copy)

    def add_local_dir(self, local_path: Local, remote_path: str, *, copy: bool = False, ignore: Ignore = ()) -> "Image":
        """Add a folder; `ignore` is a list of patterns, or a function of the path relative to the folder."""
        files = _local(local_path, _absolute(remote_path), ignore)
        if files.local.is_file():
            msg = f"Image.add_local_dir: {str(local_path)!r} is a file: use add_local_file"
            raise InvalidError(msg)
        return self._add([files], copy=copy)

    def add_local_python_source(self, *modules: str, copy: bool = False, ignore: Ignore = ()) -> "Image":
        """Add local modules or packages, by name, so that they can be imported: their Python files, or what `ignore` leaves."""
        if not is_local():
            return self
        files = [f for name in strings(modules, "Image.add_local_python_source") for f in local_module(name, ignore)]
        return self._add(files, copy=copy)

    @contextmanager
    def imports(self) -> Generator[None, None, None]:
        """Hold imports that only this image can satisfy: they may fail here, and in instances of another image."""
        try:
            yield
        except ImportError as error:
            if not is_local():
                warnings.warn(f"an import inside image.imports() failed: {error}", stacklevel=3)

    # ---- how

    def _then(self, step: Step) -> "Image":
        if self.files and is_local():
            msg = (
                f"an image step follows add_local_…({str(self.files[-1].local)!r}), which is only there once an instance starts: "
                "move the step before it, or pass copy=True to it"
            )
            raise InvalidError(msg)
        return Image((*self._steps, step), self.files, self.copied)

    def _add(self, files: Sequence[Files], *, copy: bool) -> "Image":
        if not copy:
            return Image(self._steps, (*self.files, *files), self.copied)
        steps = (functools.partial(_copy, f) for f in files)
        return Image((*self._steps, *steps), self.files, (*self.copied, *files))

    def _pip(
        self,
        kind: Literal["pip_install", "uv_pip_install"],
        packages: tuple[Packages, ...],
        files: Sequence[Local],
        options: PipOptions,
    ) -> "Image":
        lines = [line for f in files for line in _requirement_lines(f)] if is_local() else []
        known_options(options, PipOptions.__annotations__, f"Image.{kind}")
        _no_secrets(options, f"Image.{kind}")
        args: dict[str, Any] = {"packages": strings(packages, f"Image.{kind}")}
        if lines:
            args["requirements"] = lines
        for name in ("index_url", "extra_index_url", "find_links", "pre", "extra_options"):
            value = cast("dict[str, Any]", options).get(name)
            if value:
                args[name] = value if name == "pre" else strings(value, f"Image.{kind}: {name}")[0]
        step = ImageStep(kind=kind, args=args)
        env = options.get("env")
        return (self.env(env) if env else self)._then(step) if args["packages"] or lines else self

    def _words(self, kind: Shell, words: Sequence[str]) -> "Image":
        if isinstance(words, str):
            msg = f"Image.{kind}({words!r}): give a list of words, such as {words.split()!r}"
            raise InvalidError(msg)
        return self._then(ImageStep(kind=kind, args={"commands": strings(words, f"Image.{kind}")}))

    def _texts(self, kind: Texts, key: str, texts: tuple[Packages, ...], options: StepOptions) -> "Image":
        where = f"Image.{kind}"
        known_options(options, StepOptions.__annotations__, where)
        _no_secrets(options, where)
        env = options.get("env")
        return (self.env(env) if env else self)._then(ImageStep(kind=kind, args={key: strings(texts, where)}))


def default_image() -> Image:
    """The image of a function that names none."""
    return Image.debian_slim()


def _copy(files: Files, bundles: Bundles) -> ImageStep:
    entries = dict(files.entries())
    folder = str(PurePosixPath(files.remote).parent) if files.local.is_file() else files.remote
    digest = bundles.add({name.removeprefix(folder).lstrip("/"): path for name, path in entries.items()})
    return ImageStep(kind="add_local", args={"digest": digest, "remote_path": folder})


def _run_function(raw: FunctionType, options: BuildOptions) -> ImageStep:
    from freehold.sdk.serialization import dump_code

    code = _unplaced(raw)
    args, kwargs = tuple(options.get("args", ())), dict(options.get("kwargs", {}))
    return ImageStep(
        kind="run_function",
        args={
            "module": raw.__module__,
            "qualname": raw.__qualname__,
            "serialized": base64.b64encode(dump_code(code, args, kwargs)).decode(),
            "secrets": [_secret(s) for s in options.get("secrets", ())],
            "volumes": {
                str(path): asdict(volume.mount(str(path))) for path, volume in options.get("volumes", {}).items()
            },
            "timeout_s": float(options.get("timeout", 3600)),
        },
    )


def _unplaced(raw: FunctionType) -> FunctionType:
    """A copy that does not know on which lines it stands, so that an edit above it does not rebuild the image."""
    copy = FunctionType(_first_line(raw.__code__), raw.__globals__, raw.__name__, raw.__defaults__, raw.__closure__)
    copy.__kwdefaults__, copy.__qualname__, copy.__module__ = raw.__kwdefaults__, raw.__qualname__, raw.__module__
    return copy


def _first_line(code: CodeType) -> CodeType:
    consts = tuple(_first_line(c) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_firstlineno=1, co_consts=consts)


def _check_build(options: BuildOptions) -> None:
    where = "Image.run_function"
    known_options(options, BuildOptions.__annotations__, where)
    many(options.get("secrets", ()), Secret, "secrets", where, fix="[freehold.Secret.from_name(...)]")
    mounts(options.get("volumes", {}), Volume, where)
    if not isinstance(options.get("args", ()), (list, tuple)):
        msg = f"{where}: args={options.get('args')!r} is not a list of arguments"
        raise InvalidError(msg)
    if not is_amount(options.get("timeout", 1)):
        msg = f"{where}: timeout={options.get('timeout')!r} is not a number of seconds above 0"
        raise InvalidError(msg)


def _no_secrets(options: "PipOptions | SyncOptions | StepOptions", where: str) -> None:
    for name in ("secrets", "volumes"):
        if cast("dict[str, Any]", options).get(name):
            msg = f"{where}: {name}= is not supported here; do what needs it in Image.run_function, which takes {name}="
            raise UnimplementedError(msg)


def _secret(secret: Secret) -> dict[str, Any]:
    if secret.spec.values is not None:  # the server seals them before it keeps the recipe
        return {"values": dict(secret.spec.values)}
    return {"name": secret.spec.name, "required_keys": list(secret.spec.required_keys)}


def _python(version: str | None) -> str:
    if isinstance(version, float):  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f'python_version={version!r} is a number, in which 3.10 is 3.1: write it in quotes, such as "3.10"'
        raise InvalidError(msg)
    if version is None:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    if not _PYTHON_VERSION.fullmatch(str(version)):
        msg = f'python_version={version!r} is not of the form "3.12"'
        raise InvalidError(msg)
    return str(version)


def _local(path: Local, remote: str, ignore: Ignore = ()) -> Files:
    if not isinstance(path, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f"{path!r} is not a path: give a text or a pathlib.Path"
        raise InvalidError(msg)
    local = Path(path).expanduser().absolute()
    if is_local() and not local.exists():
        msg = f"{str(path)!r} is not here: a relative path starts at the working directory, {str(Path.cwd())!r}"
        raise InvalidError(msg)
    return Files(local=local, remote=remote, ignore=ignore)


def _absolute(remote: str) -> str:
    path = PurePosixPath(strings(remote, "remote_path")[0])
    if ".." in path.parts:
        msg = f"remote_path={remote!r} may not contain '..'"
        raise InvalidError(msg)
    return str(PurePosixPath("/root") / path)


def _requirement_lines(path: Local) -> list[str]:
    stripped = (line.split(" #", 1)[0].strip() for line in _read(path).splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _read(path: Local) -> str:
    if not is_local():
        return ""
    try:
        return Path(path).read_text()
    except OSError as error:
        msg = f"cannot read {str(path)!r}: {error.strerror}"
        raise InvalidError(msg) from error
