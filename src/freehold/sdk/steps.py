"""What the steps of an image take: their options, checked where they stand and as a recipe has them."""

import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypedDict, cast

from freehold.core.devices import parse_gpu
from freehold.core.errors import Error, InvalidError
from freehold.sdk.checks import flag, is_amount, known_options, many, mounts, one, strings, variables
from freehold.sdk.config import resolver_settings
from freehold.sdk.context import is_local
from freehold.sdk.secret import Secret
from freehold.sdk.source import Bundles, Files, Ignore
from freehold.sdk.volume import Volume

Packages = str | Sequence[str]
Local = str | os.PathLike[str]
Remote = str | PurePath  # where a file goes in the image
Variables = Mapping[str, str | None]
FORCED = secrets.token_hex(8)  # once a process, so that what is built anew is built once for all who use it
_SECRETS = "[freehold.Secret.from_name(...)]"


class BuildOptions(TypedDict, total=False):
    """What every step takes that runs something; variables and secrets are there while it runs, and not later."""

    env: Variables | None
    secrets: Collection[Secret] | None
    gpu: str | Sequence[str] | None
    force_build: bool


class RequirementsOptions(BuildOptions, total=False):
    """Of `pip_install_from_requirements`."""

    index_url: str | None
    extra_index_url: str | None
    pre: bool
    extra_options: str


class PipOptions(RequirementsOptions, total=False):
    """Of `pip_install` and its kin."""

    find_links: str | None


class UvOptions(PipOptions, total=False):
    uv_version: str | None


class UvSyncOptions(BuildOptions, total=False):
    groups: Sequence[str] | None
    extras: Sequence[str] | None
    frozen: bool
    extra_options: str
    uv_version: str | None


class PoetryOptions(BuildOptions, total=False):
    ignore_lockfile: bool
    with_: Sequence[str]
    without: Sequence[str]
    only: Sequence[str]
    poetry_version: str | None
    old_installer: bool


class MicromambaOptions(BuildOptions, total=False):
    spec_file: Local | None
    channels: Sequence[str]


class CommandOptions(BuildOptions, total=False):
    """Of `run_commands`."""

    volumes: Mapping[str | PurePosixPath, Volume] | None


class ContextOptions(BuildOptions, total=False):
    """Of `dockerfile_commands`; COPY takes from `context_dir`, by default the working directory, what `ignore` leaves."""

    context_files: Mapping[str, Local]
    context_dir: Local | None
    ignore: Ignore
    build_args: Mapping[str, str]


class DockerfileOptions(BuildOptions, total=False):
    """Of `from_dockerfile`."""

    context_dir: Local | None
    ignore: Ignore
    build_args: Mapping[str, str]
    registry_secret: Secret | None
    secret: Secret | None  # an older name of it
    add_python: str | None


class RegistryOptions(TypedDict, total=False):
    """Of `from_registry` and its kin."""

    setup_dockerfile_commands: Sequence[str]
    force_build: bool
    add_python: str | None
    credentials_from: object  # older programs have it


class FunctionBuildOptions(BuildOptions, total=False):
    """Of `run_function`; `cpu` and `memory` are those of whoever builds in containers."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    volumes: Mapping[str | PurePosixPath, Volume]
    network_file_systems: Mapping[str | PurePosixPath, object]
    timeout: float | None
    cpu: float | None
    memory: int | None
    cloud: str | None
    region: str | Sequence[str] | None
    include_source: bool
    mounts: object  # older programs have it


def build_args(options: Mapping[str, Any], known: type, where: str) -> dict[str, Any]:
    """The part of `BuildOptions` in a recipe; InvalidError for an option that a step does not have or cannot have so."""
    known_options(options, known.__annotations__, where)
    given = {k: v for k, v in options.items() if v is not None}
    made: dict[str, Any] = {}
    if given.get("env"):
        made["env"] = variables(given["env"], f"{where}: env")
    if given.get("secrets"):
        made["secrets"] = [
            secret_ref(s) for s in many(_listed(given["secrets"]), Secret, "secrets", where, fix=_SECRETS)
        ]
    if given.get("volumes"):
        made["volumes"] = {
            path: asdict(volume.mount(path)) for path, volume in sorted(mounts(given["volumes"], Volume, where).items())
        }
    if given.get("gpu"):
        made["gpu"] = _gpus(given["gpu"], where)
    return made | force(given.get("force_build", False), where)


def force(given: object, where: str) -> dict[str, Any]:
    flag(given, "force_build", where)
    return {"force": FORCED} if given else {}


def texts(options: Mapping[str, Any], names: Collection[str], where: str) -> dict[str, Any]:
    """Options that are one text each, those that were given."""
    return {n: strings(options[n], f"{where}: {n}")[0] for n in names if options.get(n)}


def lists(options: Mapping[str, Any], names: Collection[str], where: str) -> dict[str, Any]:
    return {n.rstrip("_"): strings(options[n], f"{where}: {n}") for n in names if options.get(n)}


def flags(options: Mapping[str, Any], names: Collection[str], where: str) -> dict[str, Any]:
    for name in names:
        flag(options.get(name), name, where)
    return {n: True for n in names if options.get(n)}


def pip_args(options: PipOptions, known: type, where: str) -> dict[str, Any]:
    made = resolved(build_args(options, known, where))
    named = ("index_url", "extra_index_url", "find_links", "extra_options", "uv_version")
    return made | texts(options, named, where) | flags(options, ("pre",), where)


def resolved(made: dict[str, Any]) -> dict[str, Any]:
    """With the settings that decide which versions are installed; the step's own come first."""
    env = resolver_settings() | made.get("env", {})
    return made | {"env": env} if env else made


def run_limits(options: FunctionBuildOptions, where: str) -> dict[str, Any]:
    """How `run_function` runs, which does not change what it makes."""
    timeout = options.get("timeout")
    if timeout is None:
        timeout = 3600
    if not is_amount(timeout):
        msg = f"{where}: timeout={timeout!r} is not a number of seconds above 0"
        raise InvalidError(msg)
    sizes = {n: v for n in ("cpu", "memory") if (v := cast("dict[str, Any]", options).get(n)) is not None}
    for name, value in sizes.items():
        if not is_amount(value):
            msg = f"{where}: {name}={value!r} is not a number above 0"
            raise InvalidError(msg)
    return {"timeout_s": float(timeout)} | sizes


def secret_ref(secret: Secret) -> dict[str, Any]:
    """A secret in a recipe on its way to the server, which seals values that were given in the program."""
    if secret.spec.values is not None:
        return {"values": dict(secret.spec.values)}
    return {"name": secret.spec.name, "required_keys": list(secret.spec.required_keys)}


def registry_secret(secret: object, where: str) -> dict[str, Any]:
    one(secret, Secret, "secret", where, fix="freehold.Secret.from_name(...)")
    return {"registry_secrets": [secret_ref(secret)]} if isinstance(secret, Secret) else {}


def context(
    dockerfile: str, options: Mapping[str, Any], where: str, beside: Path | None = None
) -> Callable[[Bundles], dict[str, Any]]:
    """Checks the instructions, and gives what bundles the local files that they copy."""
    from freehold.core.dockerfile import copied, parse

    try:
        wanted = ["." if "$" in source else source for source in copied(parse(dockerfile))]
    except Error as error:
        msg = f"{where}: {error}"
        raise InvalidError(msg) from None
    extra = {
        str(PurePosixPath("/", k)).lstrip("/"): Path(v) for k, v in dict(options.get("context_files") or {}).items()
    }
    folder = Path(options.get("context_dir") or Path.cwd()).expanduser().absolute() if is_local() else Path()
    ignore: Ignore | None = options.get("ignore")
    if not is_local() or not (wanted or extra):
        return lambda _: {}
    for source in wanted:
        if not (folder / source.lstrip("/")).resolve().is_relative_to(folder.resolve()):
            msg = f"{where}: COPY {source!r} lies outside of the context {str(folder)!r}: give context_dir= a folder above it"
            raise InvalidError(msg)
    rules = _dockerignore(folder, beside) if ignore is None else ignore

    def bundle(bundles: Bundles) -> dict[str, Any]:
        files = Files(local=folder, remote="", ignore=rules)
        entries = {n: p for n, p in ((name.lstrip("/"), path) for name, path in files.entries()) if _taken(n, wanted)}
        for source in wanted:
            plain = source.strip("/").removeprefix("./")
            if not any(_taken(n, [source]) for n in (*entries, *extra)) and not any(c in plain for c in "*?["):
                msg = (
                    f"{where}: COPY {source!r}: there is no such file in the context {str(folder)!r}, or it is ignored"
                )
                raise InvalidError(msg)
        return {"context": bundles.add(entries | extra)}

    return bundle


def _taken(name: str, patterns: Sequence[str]) -> bool:
    """Whether a file of the context is what one of COPY's sources names, or lies beneath it."""
    path = PurePosixPath(name)
    for pattern in patterns:
        plain = str(PurePosixPath("/", pattern)).lstrip("/")
        if plain in ("", ".") or any(
            PurePosixPath(p).match(plain) and len(p.parts) == len(PurePosixPath(plain).parts)
            for p in (path, *path.parents)
        ):
            return True
    return False


def _dockerignore(folder: Path, dockerfile: Path | None) -> list[str]:
    """Patterns of the .dockerignore that belongs to a Dockerfile, else of the context's."""
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore") if dockerfile else None
    for file in (own, folder / ".dockerignore"):
        if file is not None and file.is_file():
            lines = (line.strip() for line in file.read_text().splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


def _gpus(given: object, where: str) -> list[str]:
    wanted = strings(given, f"{where}: gpu")
    for text in wanted:
        try:
            parse_gpu(text)
        except InvalidError as error:
            msg = f"{where}: {error}"
            raise InvalidError(msg) from None
    return wanted


def _listed(given: object) -> object:
    return list(cast("Collection[object]", given)) if isinstance(given, (set, frozenset)) else given
