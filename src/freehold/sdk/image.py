"""Image: a recipe for an environment, built step by step. Each method returns a new image."""

import functools
import os
import re
import sys
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Unpack, cast

from freehold.core.digests import image_id
from freehold.core.errors import DeprecationError, InvalidError, NotFoundError
from freehold.core.names import check_name
from freehold.core.specs import ImageSpec, ImageStep, StepKind
from freehold.sdk import local_files, steps
from freehold.sdk.checks import known_options, strings, variables
from freehold.sdk.config import force_build
from freehold.sdk.context import is_local
from freehold.sdk.faces import blocking, both, both_items, both_static
from freehold.sdk.secret import Secret
from freehold.sdk.source import Bundles, Files, Ignore, local_module
from freehold.sdk.steps import Local, Packages, Remote
from freehold.sdk.tracebacks import warn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from freehold.sdk.client import Client

P = ParamSpec("P")
Step = ImageStep | Callable[[Bundles], ImageStep]
_PYTHON_VERSION = re.compile(r"3\.\d+(\.\d+)?t?")
_LOGIN = {"from_aws_ecr": "aws", "from_gcp_artifact_registry": "gcp"}


class Image:
    """Begin with `Image.debian_slim()`; nothing is built before an app that uses it runs."""

    def __init__(
        self, steps: tuple[Step, ...] = (), files: tuple[Files, ...] = (), copied: tuple[Files, ...] = ()
    ) -> None:
        self._steps = steps
        self.copied = copied  # local files that are part of the environment
        self.files = files  # laid out when an instance starts; they do not rebuild the environment
        self.failed_imports: list[Exception] = []
        self.built: str | None = None  # the digest of what the server has of it

    def spec(self, bundles: Bundles) -> ImageSpec:
        """The recipe, with the tars of copied files added to `bundles`."""
        made = [s if isinstance(s, ImageStep) else s(bundles) for s in self._steps]
        if made and force_build():
            made[0] = replace(made[0], args=made[0].args | {"force": steps.FORCED})
        return ImageSpec(steps=tuple(made))

    # ---- where it begins

    @staticmethod
    def debian_slim(python_version: str | None = None, force_build: bool = False) -> "Image":
        """Debian with Python; `python_version` such as "3.12", by default the one that runs here."""
        made = steps.force(force_build, "Image.debian_slim")
        return _first("debian_slim", {"python_version": _python(python_version)} | made)

    @staticmethod
    def from_registry(tag: str, secret: Secret | None = None, **options: Unpack[steps.RegistryOptions]) -> "Image":
        """A container image; `add_python` gives it a Python of that version. The secret has REGISTRY_USERNAME and REGISTRY_PASSWORD."""
        return _registry("from_registry", tag, secret, options)

    @staticmethod
    def from_aws_ecr(tag: str, secret: Secret | None = None, **options: Unpack[steps.RegistryOptions]) -> "Image":
        """A container image of Amazon's registry; the secret has AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION."""
        return _registry("from_aws_ecr", tag, secret, options)

    @staticmethod
    def from_gcp_artifact_registry(
        tag: str, secret: Secret | None = None, **options: Unpack[steps.RegistryOptions]
    ) -> "Image":
        """A container image of Google's registry; the secret has SERVICE_ACCOUNT_JSON."""
        return _registry("from_gcp_artifact_registry", tag, secret, options)

    @staticmethod
    def from_dockerfile(path: Local, **options: Unpack[steps.DockerfileOptions]) -> "Image":
        """What a Dockerfile builds; COPY takes from `context_dir`, by default the working directory."""
        where = "Image.from_dockerfile"
        args = steps.build_args(options, steps.DockerfileOptions, where)
        secret = options.get("registry_secret") or options.get("secret")
        args |= steps.registry_secret(secret, where) | {
            "dockerfile": local_files.read(path),
            "add_python": _added(options.get("add_python")),
        }
        if options.get("build_args"):
            args["build_args"] = variables(options.get("build_args"), f"{where}: build_args")
        files = steps.context(args["dockerfile"], options, where, Path(path))
        return Image((lambda bundles: ImageStep(kind="from_dockerfile", args=args | files(bundles)),))

    @staticmethod
    def from_scratch(force_build: bool = False) -> "Image":
        """Nothing at all, for files that are added; only containers can begin so."""
        return _first("from_scratch", steps.force(force_build, "Image.from_scratch"))

    @staticmethod
    def micromamba(python_version: str | None = None, force_build: bool = False) -> "Image":
        """Debian with Python by micromamba."""
        made = steps.force(force_build, "Image.micromamba")
        return _first("micromamba", {"python_version": _python(python_version)} | made)

    @both_static
    @staticmethod
    async def from_id(image_id: str, client: object = None) -> "Image":
        """An image that was built before, by its `object_id`."""
        del client  # one server a process
        if not re.fullmatch(r"im-[0-9a-f]{24}", strings(image_id, "Image.from_id")[0]):
            msg = f"Image.from_id({image_id!r}): an image's id is of the form im-…, as image.object_id gives it and `freehold image list` shows it"
            raise InvalidError(msg)
        return _first("from_id", {"id": image_id})

    @staticmethod
    def from_name(name: str, *, environment_name: str | None = None, client: object = None) -> "Image":
        """An image that was published under this name, `NAME` or `NAME:TAG`."""
        del environment_name, client  # one environment a server, one server a process
        return _first("from_name", {"name": _named(name)})

    # ---- packages

    def pip_install(self, *packages: Packages, **options: Unpack[steps.PipOptions]) -> "Image":
        """Install packages, as `pip install` would."""
        return self._pip("pip_install", packages, [], options, steps.PipOptions)

    def uv_pip_install(
        self, *packages: Packages, requirements: Sequence[Local] | None = None, **options: Unpack[steps.UvOptions]
    ) -> "Image":
        """Install packages with uv; `requirements` are local files of them."""
        return self._pip("uv_pip_install", packages, list(requirements or ()), options, steps.UvOptions)

    def pip_install_from_requirements(
        self, requirements_txt: Local, find_links: str | None = None, **options: Unpack[steps.RequirementsOptions]
    ) -> "Image":
        """Install what a requirements file lists."""
        given: steps.PipOptions = {**options, "find_links": find_links}
        return self._pip("pip_install", (), [requirements_txt], given, steps.PipOptions)

    def pip_install_from_pyproject(
        self, pyproject_toml: Local, optional_dependencies: Sequence[str] = (), **options: Unpack[steps.PipOptions]
    ) -> "Image":
        """Install the dependencies that a pyproject.toml lists."""
        where = "Image.pip_install_from_pyproject"
        groups = (
            strings(list(optional_dependencies), f"{where}: optional_dependencies") if optional_dependencies else []
        )
        packages = local_files.dependencies(pyproject_toml, groups) if is_local() else []
        return self._pip("pip_install", tuple(packages), [], options, steps.PipOptions)

    def pip_install_private_repos(
        self, *repositories: str, git_user: str, **options: Unpack[steps.PipOptions]
    ) -> "Image":
        """Install packages from private repositories of GitHub and GitLab, given as `github.com/owner/name@ref`.

        A secret has GITHUB_TOKEN or GITLAB_TOKEN.
        """
        where = "Image.pip_install_private_repos"
        if not options.get("secrets"):
            msg = f"{where}: give secrets=[freehold.Secret.from_name(...)] with GITHUB_TOKEN or GITLAB_TOKEN"
            raise InvalidError(msg)
        user = strings(git_user, f"{where}: git_user")[0]
        packages = [_repository(r, user, where) for r in strings(list(repositories), where)]
        return self._pip("pip_install", tuple(packages), [], options, steps.PipOptions)

    def uv_sync(self, uv_project_dir: Local = "./", **options: Unpack[steps.UvSyncOptions]) -> "Image":
        """Install what a uv project's lock file lists; `extra_options` are flags of `uv sync`."""
        where = "Image.uv_sync"
        args = steps.resolved(steps.build_args(options, steps.UvSyncOptions, where))
        for name in ("groups", "extras"):
            if isinstance(options.get(name), str):
                msg = f"{where}: {name}={options.get(name)!r} is one text: give a list, [{options.get(name)!r}]"
                raise InvalidError(msg)
        args |= steps.lists(options, ("groups", "extras"), where)
        args |= steps.texts(options, ("extra_options", "uv_version"), where)
        if is_local():
            folder = Path(uv_project_dir).expanduser()
            args |= {
                "pyproject": local_files.read(folder / "pyproject.toml"),
                "lock": local_files.read_if_there(folder / "uv.lock"),
            }
            if "workspace" in local_files.toml(folder / "pyproject.toml").get("tool", {}).get("uv", {}):
                msg = f"{where}: {str(folder)!r} is a uv workspace, whose members would have to come along: give the folder of one project"
                raise InvalidError(msg)
        return self._then(ImageStep(kind="uv_sync", args=args | {"frozen": options.get("frozen", True) is not False}))

    def poetry_install_from_file(
        self, poetry_pyproject_toml: Local, poetry_lockfile: Local | None = None, **options: Unpack[steps.PoetryOptions]
    ) -> "Image":
        """Install the dependencies of a Poetry project, with its lock file; not the project itself."""
        where = "Image.poetry_install_from_file"
        args = steps.build_args(options, steps.PoetryOptions, where)
        args |= steps.lists(options, ("with_", "without", "only"), where)
        args |= steps.flags(options, ("old_installer",), where)
        version = options.get("poetry_version", "latest")
        args["poetry_version"] = version if version is None else strings(version, f"{where}: poetry_version")[0]
        if not is_local():
            return self
        args["pyproject"] = local_files.read(poetry_pyproject_toml)
        if not options.get("ignore_lockfile"):
            lock = Path(poetry_lockfile or Path(poetry_pyproject_toml).expanduser().parent / "poetry.lock")
            if not lock.expanduser().exists():
                msg = f"{where}: {str(lock)!r} is not here: make it with `poetry lock`, or pass ignore_lockfile=True"
                raise NotFoundError(msg)
            args["lock"] = local_files.read(lock)
        return self._then(ImageStep(kind="poetry_install", args=args))

    def apt_install(self, *packages: Packages, **options: Unpack[steps.BuildOptions]) -> "Image":
        """Debian packages; without the container launcher those that the host has, or that it may install."""
        return self._texts(
            "apt_install", "packages", packages, steps.build_args(options, steps.BuildOptions, "Image.apt_install")
        )

    def micromamba_install(self, *packages: Packages, **options: Unpack[steps.MicromambaOptions]) -> "Image":
        """Conda packages, after `Image.micromamba()`; `spec_file` is a local file of them."""
        where = "Image.micromamba_install"
        args = steps.build_args(options, steps.MicromambaOptions, where) | steps.lists(options, ("channels",), where)
        spec_file = options.get("spec_file")
        if spec_file is not None:
            args["spec_file"] = local_files.read(spec_file)
        if not packages and spec_file is None:
            return self
        return self._texts("micromamba_install", "packages", packages, args)

    # ---- other steps

    def run_commands(self, *commands: Packages, **options: Unpack[steps.CommandOptions]) -> "Image":
        """Run shell commands in the environment."""
        args = steps.build_args(options, steps.CommandOptions, "Image.run_commands")
        return self._texts("run_commands", "commands", commands, args)

    def dockerfile_commands(self, *dockerfile_commands: Packages, **options: Unpack[steps.ContextOptions]) -> "Image":
        """Instructions of a Dockerfile, such as `RUN make` or `COPY model.bin /`."""
        where = "Image.dockerfile_commands"
        args = steps.build_args(options, steps.ContextOptions, where)
        args["commands"] = strings(dockerfile_commands, where)
        if options.get("build_args"):
            args["build_args"] = variables(options.get("build_args"), f"{where}: build_args")
        files = steps.context("\n".join(args["commands"]), options, where)
        return (
            self._then(lambda bundles: ImageStep(kind="dockerfile_commands", args=args | files(bundles)))
            if args["commands"]
            else self
        )

    def run_function(self, raw_f: Callable[..., Any], **options: Unpack[steps.FunctionBuildOptions]) -> "Image":
        """Run a function in the environment, such as one that downloads weights; again only when its code changes."""
        where = "Image.run_function"
        if not isinstance(raw_f, FunctionType):
            msg = f"run_function({raw_f!r}): give a plain function, without @app.function"
            raise InvalidError(msg)
        args, limits = steps.build_args(options, steps.FunctionBuildOptions, where), steps.run_limits(options, where)
        call: tuple[Any, Any] = options.get("args") or (), options.get("kwargs") or {}
        if not isinstance(call[0], (list, tuple)) or not isinstance(call[1], Mapping):
            msg = f"{where}: args={call[0]!r} and kwargs={call[1]!r} are not a list and a dict of arguments"
            raise InvalidError(msg)
        if options.get("network_file_systems"):
            msg = f"{where}: network_file_systems= is gone: give volumes={{'/path': freehold.Volume.from_name(...)}}"
            raise InvalidError(msg)
        given, included = (
            (tuple(cast("Sequence[Any]", call[0])), dict(cast("Mapping[str, Any]", call[1]))),
            options.get("include_source", True) is not False,
        )

        def step(bundles: Bundles) -> ImageStep:
            from freehold.sdk.build_function import function_step

            made = function_step(raw_f, given, bundles, include_source=included)
            return replace(made, args=args | made.args, beside=limits | made.beside)

        return self._then(step) if is_local() else self

    def env(self, vars: Mapping[str, str]) -> "Image":  # noqa: A002 (Modal's name)
        """Set environment variables, for later steps and in instances."""
        return self._then(ImageStep(kind="env", args={"vars": variables(vars, "Image.env")}))

    def workdir(self, path: str | PurePosixPath) -> "Image":
        """Set the working directory."""
        where = path if isinstance(path, PurePosixPath) else strings(path, "Image.workdir")[0]
        return self._then(ImageStep(kind="workdir", args={"path": str(where)}))

    def entrypoint(self, entrypoint_commands: Sequence[str]) -> "Image":
        return self._words("entrypoint", entrypoint_commands)

    def cmd(self, cmd: Sequence[str]) -> "Image":
        return self._words("cmd", cmd)

    def shell(self, shell_commands: Sequence[str]) -> "Image":
        """What later `run_commands` and `RUN` are run by, such as `["/bin/bash", "-c"]`."""
        return self._words("shell", shell_commands)

    def pipe(self, func: "Callable[Concatenate[Image, P], Image]", *args: P.args, **kwargs: P.kwargs) -> "Image":
        """What `func` makes of this image: shared steps as a function, in the chain."""
        made = func(self, *args, **kwargs)
        if not isinstance(made, Image):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"Image.pipe({getattr(func, '__name__', func)}): it returned {made!r}, not an Image: end it with `return image…`"
            raise InvalidError(msg)
        return made

    # ---- local files

    def add_local_file(self, local_path: Local, remote_path: Remote, *, copy: bool = False) -> "Image":
        """Add a file; a `remote_path` that ends in `/` is a folder. `copy=True` makes it part of the image, for later steps."""
        folder = _absolute(remote_path)
        files = _local(local_path, folder)
        if files.local.is_dir():
            msg = f"Image.add_local_file: {str(local_path)!r} is a folder: use add_local_dir"
            raise InvalidError(msg)
        if str(remote_path).endswith("/"):
            files = replace(files, remote=f"{folder}/{files.local.name}")
        return self._add([files], copy=copy)

    def add_local_dir(
        self, local_path: Local, remote_path: Remote, *, copy: bool = False, ignore: Ignore = ()
    ) -> "Image":
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

    def copy_local_file(self, local_path: Local, remote_path: str = "./") -> "Image":
        """The older name of `add_local_file(copy=True)`."""
        warn("Image.copy_local_file is now add_local_file(..., copy=True)", DeprecationError)
        folder = remote_path in (".", "./") or remote_path.endswith("/")
        name = f"{remote_path.rstrip('/')}/{Path(local_path).name}" if folder else remote_path
        return self.add_local_file(local_path, name, copy=True)

    def copy_local_dir(self, local_path: Local, remote_path: str = ".", ignore: Ignore = ()) -> "Image":
        """The older name of `add_local_dir(copy=True)`."""
        warn("Image.copy_local_dir is now add_local_dir(..., copy=True)", DeprecationError)
        return self.add_local_dir(local_path, remote_path, copy=True, ignore=ignore)

    @staticmethod
    def from_dockerhub(
        tag: str, setup_commands: Sequence[str] = (), **options: Unpack[steps.RegistryOptions]
    ) -> "Image":
        """The older name of `from_registry`."""
        warn("Image.from_dockerhub is now from_registry", DeprecationError)
        if setup_commands:
            options["setup_dockerfile_commands"] = [f"RUN {command}" for command in setup_commands]
        return Image.from_registry(tag, **options)

    @staticmethod
    def conda(python_version: str | None = None, force_build: bool = False) -> "Image":
        """What `micromamba` has taken the place of."""
        warn("Image.conda is now micromamba", DeprecationError)
        return Image.micromamba(python_version, force_build)

    def conda_install(self, *packages: Packages, **options: Unpack[steps.MicromambaOptions]) -> "Image":
        """As `conda`."""
        warn("Image.conda_install is now micromamba_install", DeprecationError)
        return self.micromamba_install(*packages, **options)

    def copy_mount(self, mount: object, remote_path: str = ".") -> "Image":
        """The older name of `add_local_…(copy=True)`: what a `modal.Mount` holds."""
        files = getattr(mount, "files", None)
        if files is None or remote_path not in (".", "./", "/"):
            msg = f"Image.copy_mount({mount!r}, {remote_path!r}): use add_local_dir(..., copy=True) or add_local_python_source(..., copy=True)"
            raise InvalidError(msg)
        warn("Image.copy_mount is now add_local_dir(..., copy=True) or its like", DeprecationError)
        return self._add(files, copy=True)

    @contextmanager
    def imports(self) -> Generator[None, None, None]:
        """Hold imports that only this image can satisfy: they may fail here, and in instances of another image."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (an import runs a library's code, which may raise anything)
            self.failed_imports.append(error)  # an instance of this very image fails with it
            if not isinstance(error, ImportError):
                warnings.warn(f"inside image.imports(), {type(error).__name__}: {error}", stacklevel=3)

    # ---- built

    @property
    def object_id(self) -> str | None:
        """Its id once `build()` has built it, or of a sandbox's snapshot; `Image.from_id` finds it again."""
        return self.built and image_id(self.built)

    @both
    async def build(self, app: object = None) -> "Image":
        """Build it now, on the server; functions have theirs built when their app runs or is deployed."""
        del app  # the server builds for all of its apps
        self.built = await blocking(self._build)
        return self

    @both
    async def publish(
        self,
        name: str,
        *,
        environment_name: str | None = None,
        experimental_options: object = None,
        client: object = None,
    ) -> None:
        """Give the built image a name, `NAME` or `NAME:TAG`, by which `Image.from_name` finds it; the tag is by default `latest`."""
        del environment_name, experimental_options, client  # as in `from_name`; nothing here is public
        if self.built is None:
            msg = f"Image.publish({name!r}): the image is not built yet: call image.build() first"
            raise InvalidError(msg)
        await blocking(self._publish, _named(name))

    @both
    async def hydrate(self, client: "Client | None" = None) -> "Image":
        """Like `build()`."""
        del client
        if self.built is None:
            self.built = await blocking(self._build)
        return self

    @both_items
    async def build_log(self) -> "AsyncGenerator[str, None]":
        """Lines of the build's log, the oldest first."""
        for line in await blocking(self._read_log):
            yield line

    def _build(self) -> str:
        from freehold.sdk import client, running

        with Bundles() as bundles:
            return running.build(client.current().api, self.spec(bundles), bundles).digest

    def _publish(self, name: str) -> None:
        from freehold.protocol.schemas import ImageName
        from freehold.sdk import client

        assert self.built is not None
        client.current().api.act("POST", f"/v1/images/{self.built}/names", ImageName(name=name))

    def _read_log(self) -> list[str]:
        from freehold.sdk import client, running

        if self.built is None:
            msg = "this image has no log yet: call image.build() first"
            raise InvalidError(msg)
        return running.image_log(client.current().api, self.built)

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
        self, kind: Literal["pip_install", "uv_pip_install"], packages: tuple[Packages, ...], files: Sequence[Local],
        options: steps.PipOptions, known: type,
    ) -> "Image":  # fmt: skip
        where = f"Image.{kind}"
        args: dict[str, Any] = {"packages": strings(packages, where)} | steps.pip_args(options, known, where)
        lines = [line for f in files for line in local_files.requirement_lines(f)] if is_local() else []
        if lines:
            args["requirements"] = lines
        return self._then(ImageStep(kind=kind, args=args)) if args["packages"] or lines else self

    def _words(self, kind: Literal["entrypoint", "cmd", "shell"], words: Sequence[str]) -> "Image":
        if isinstance(words, str):
            msg = f"Image.{kind}({words!r}): give a list of words, such as {words.split()!r}"
            raise InvalidError(msg)
        return self._then(ImageStep(kind=kind, args={"commands": strings(list(words), f"Image.{kind}")}))

    def _texts(self, kind: StepKind, key: str, texts: tuple[Packages, ...], args: dict[str, Any]) -> "Image":
        found = strings(texts, f"Image.{kind}")
        return self._then(ImageStep(kind=kind, args={key: found} | args)) if found or args.get("spec_file") else self


def default_image() -> Image:
    """The image of a function that names none."""
    return Image.debian_slim()


def _copy(files: Files, bundles: Bundles) -> ImageStep:
    entries = dict(files.entries())
    folder = str(PurePosixPath(files.remote).parent) if files.local.is_file() else files.remote
    digest = bundles.add({name.removeprefix(folder).lstrip("/"): path for name, path in entries.items()})
    return ImageStep(kind="add_local", args={"digest": digest, "remote_path": folder})


def _first(kind: StepKind, args: dict[str, Any]) -> Image:
    return Image((ImageStep(kind=kind, args=args),))


def _registry(method: str, tag: str, secret: Secret | None, options: steps.RegistryOptions) -> Image:
    where = f"Image.{method}"
    known_options(options, steps.RegistryOptions.__annotations__, where)
    args: dict[str, Any] = {"tag": strings(tag, where)[0], "add_python": _added(options.get("add_python"))}
    args["setup_dockerfile_commands"] = strings(list(options.get("setup_dockerfile_commands") or ()), where)
    if method in _LOGIN:
        args["registry"] = _LOGIN[method]
    args |= steps.registry_secret(secret, where) | steps.force(options.get("force_build", False), where)
    return _first("from_registry", args)


def _added(version: str | None) -> str | None:
    if version is None:
        return None
    plain = _python(str(version).removesuffix("-musl") if isinstance(version, str) else version)  # pyright: ignore[reportUnnecessaryIsInstance]
    return f"{plain}-musl" if str(version).endswith("-musl") else plain


def _repository(reference: str, user: str, where: str) -> str:
    host = reference.partition("/")[0]
    names = {"github.com": "GITHUB_TOKEN", "gitlab.com": "GITLAB_TOKEN"}
    if host not in names:
        msg = f"{where}: {reference!r} is neither github.com/owner/name nor gitlab.com/owner/name, without https:// before it"
        raise InvalidError(msg)
    return f"git+https://{user}:${{{names[host]}}}@{reference}"


def _named(name: str) -> str:
    """`NAME:TAG` of a published image."""
    plain, _, tag = strings(name, "Image")[0].partition(":")
    check_name(plain, "an image")
    if plain.startswith("im-"):
        msg = f"{name!r} cannot name an image: what begins with 'im-' is an id; give another"
        raise InvalidError(msg)
    return f"{plain}:{check_name(tag or 'latest', 'the tag of an image')}"


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


def _absolute(remote: Remote) -> str:
    path = remote if isinstance(remote, PurePath) else PurePosixPath(strings(remote, "remote_path")[0])
    if ".." in path.parts:
        msg = f"remote_path={remote!r} may not contain '..'"
        raise InvalidError(msg)
    return str(PurePosixPath("/root") / path.as_posix())
