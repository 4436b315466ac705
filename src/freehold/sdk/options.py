"""The options of `@app.function` and `@app.cls`: their names, once for both, and their checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol, TypedDict, cast

from freehold.core.devices import GPUS_MAX, parse_gpu
from freehold.core.errors import DeprecationError, InvalidError
from freehold.core.specs import DEFAULT_CPU, DEFAULT_MEMORY_MIB, BucketMount, Resources, Scaling, VolumeMount
from freehold.sdk import checks
from freehold.sdk.bucket import CloudBucketMount
from freehold.sdk.cluster import checked_size
from freehold.sdk.image import Image
from freehold.sdk.network_file_system import NetworkFileSystem
from freehold.sdk.retries import Retries, retries_spec
from freehold.sdk.schedule import Schedule
from freehold.sdk.secret import Secret
from freehold.sdk.source import Files
from freehold.sdk.tracebacks import warn
from freehold.sdk.volume import Volume


class Options(TypedDict, total=False):
    """Keyword arguments of `@app.function` and `@app.cls`. Times are seconds, memory is MiB, cpu is cores."""

    image: Image | None  # default: the app's, else Image.debian_slim()
    secrets: Sequence[Secret]
    env: Mapping[str, str | None]
    volumes: Mapping[str | PurePosixPath, Volume | CloudBucketMount]
    network_file_systems: Mapping[str | PurePosixPath, NetworkFileSystem]  # volumes under an older name
    gpu: str | Sequence[str] | None  # "A10G", "A100-80GB:2", or alternatives, best first
    cpu: float | tuple[float, float] | None  # reserved, or (reserved, limit)
    memory: int | tuple[int, int] | None  # reserved, or (reserved, limit)
    ephemeral_disk: int | None
    timeout: float  # of one input; 300
    startup_timeout: float | None  # default: timeout
    retries: int | Retries | None
    min_containers: int | None
    max_containers: int | None
    buffer_containers: int | None
    scaledown_window: float | None  # 2 to 3600
    single_use_containers: bool
    enable_memory_snapshot: bool
    include_source: bool
    max_inputs: int | None  # inputs after which an instance is replaced; only 1 is supported
    block_network: bool  # no network, but for its link to the server
    # taken for Modal's sake, without effect on a platform of one's own
    cloud: object
    region: object
    nonpreemptible: object
    experimental_options: object
    restrict_modal_access: object
    proxy: object
    i6pn: object
    # names that Modal has given up
    keep_warm: int | None
    concurrency_limit: int | None
    container_idle_timeout: float | None
    allow_concurrent_inputs: int | None
    mounts: Sequence["Filed"]


class Filed(Protocol):
    """What `modal.Mount` was: local files."""

    @property
    def files(self) -> Sequence[Files]: ...


class FunctionOptions(Options, total=False):
    """Those of `@app.function` alone."""

    name: str | None
    serialized: bool
    is_generator: bool | None
    schedule: Schedule | None  # Period(...) or Cron(...): it is called by itself, without arguments


class ClsOptions(Options, total=False):
    """Those of `@app.cls` alone."""

    name: str | None
    serialized: bool


class ServerOptions(TypedDict, total=False):
    """Those of `@app.server` that are a class's too."""

    name: str | None
    serialized: bool
    image: Image | None
    secrets: Sequence[Secret]
    env: Mapping[str, str | None]
    volumes: Mapping[str, Volume]
    gpu: str | Sequence[str] | None
    cpu: float | tuple[float, float] | None
    memory: int | tuple[int, int] | None
    ephemeral_disk: int | None
    min_containers: int | None
    max_containers: int | None
    buffer_containers: int | None
    scaledown_window: float | None
    enable_memory_snapshot: bool
    include_source: bool
    proxy: object
    # taken for Modal's sake, without effect on a platform of one's own
    scaleup_window: object
    compute_region: object
    cloud: object
    nonpreemptible: object
    i6pn: object
    experimental_options: object


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What `@app.function` or `@app.cls` was told."""

    raw: Any  # the user's function or class
    name: str
    kind: Literal["function", "cls"]
    options: FunctionOptions = field(default_factory=FunctionOptions)


_RENAMED = {
    "keep_warm": "min_containers",
    "concurrency_limit": "max_containers",
    "container_idle_timeout": "scaledown_window",
}
_WITHOUT_EFFECT = (
    "cloud",
    "region",
    "nonpreemptible",
    "experimental_options",
    "restrict_modal_access",
    "i6pn",
    "proxy",
)
_FLAGS = (
    "block_network",
    "single_use_containers",
    "enable_memory_snapshot",
    "include_source",
    "serialized",
    "is_generator",
)
SECRETS = "[freehold.Secret.from_name(...)]"
_TIMEOUT_S = (1.0, 7 * 24 * 3600.0)
_WINDOW_S = (2.0, 3600.0)


def checked(options: Mapping[str, Any], where: str, known: type = FunctionOptions) -> FunctionOptions:
    """Options with current names only; InvalidError names what cannot be, before anything is sent."""
    given = {k: v for k, v in options.items() if v is not None}
    checks.known_options(given, known.__annotations__, where)
    given = _renamed(given, where)
    for name in _WITHOUT_EFFECT:
        if given.pop(name, None):
            warn(f"{where}: {name}= has no effect on a platform of your own")
    _mounts(given, where)
    _files(given.get("mounts") or (), where)
    _check(cast(FunctionOptions, given), where)
    return cast(FunctionOptions, given)


def resources(options: FunctionOptions, where: str, *, ranks: int = 1) -> Resources:
    """What an instance asks for: each rank's share, times their number."""
    cpu, cpu_limit = _pair(options.get("cpu"), f"{where}: cpu")
    memory, memory_limit = _pair(options.get("memory"), f"{where}: memory")
    gpu = options.get("gpu")
    wanted: tuple[str, ...] = () if gpu is None else tuple(_each(gpu))
    for text in wanted:
        _gpu(text, where)
    for name, amount in (
        ("memory", memory),
        ("memory", memory_limit),
        ("ephemeral_disk", options.get("ephemeral_disk")),
    ):
        if amount is not None and not (checks.is_whole(amount) and checks.is_amount(amount)):
            msg = f"{where}: {name}={amount!r} is not a whole number of MiB above 0"
            raise InvalidError(msg)
    one = Resources(
        cpu=cpu, cpu_limit=cpu_limit, gpu=wanted, ephemeral_disk_mib=options.get("ephemeral_disk"),
        memory_mib=None if memory is None else int(memory), memory_limit_mib=None if memory_limit is None else int(memory_limit),
    )  # fmt: skip
    return one if ranks == 1 else _times(ranks, one, where)


def mounted(
    given: Mapping[Any, Volume | CloudBucketMount],
) -> tuple[tuple[VolumeMount, ...], tuple[BucketMount, ...]]:
    """Volumes and buckets as a spec names them, by their paths."""
    volumes: list[VolumeMount] = []
    buckets: list[BucketMount] = []
    for path, one in sorted((str(PurePosixPath(p)), one) for p, one in given.items()):
        if isinstance(one, Volume):
            volumes.append(one.mount(path))
        else:
            buckets.append(one.mount(path))
    return tuple(volumes), tuple(buckets)


def _times(ranks: int, one: Resources, where: str) -> Resources:
    asked = [parse_gpu(text) for text in one.gpu]
    for request in asked:
        if request.count * ranks > GPUS_MAX:
            raise InvalidError(
                f"{where}: clustered(size={ranks}) with {request.count} GPUs a rank asks for {request.count * ranks} on one machine, and {GPUS_MAX} is the most"
            )
    return Resources(
        cpu=(one.cpu or DEFAULT_CPU) * ranks,
        cpu_limit=one.cpu_limit and one.cpu_limit * ranks,
        gpu=tuple(f"{request.type}:{request.count * ranks}" for request in asked),
        ephemeral_disk_mib=one.ephemeral_disk_mib and one.ephemeral_disk_mib * ranks,
        memory_mib=(one.memory_mib or DEFAULT_MEMORY_MIB) * ranks,
        memory_limit_mib=one.memory_limit_mib and one.memory_limit_mib * ranks,
    )


def scaling(options: FunctionOptions, where: str, *, ranks: int = 1) -> Scaling:
    low, high = options.get("min_containers") or 0, options.get("max_containers")
    buffer, window = options.get("buffer_containers") or 0, options.get("scaledown_window")
    for name, value, least in (
        ("min_containers", low, 0),
        ("max_containers", high, 1),
        ("buffer_containers", buffer, 0),
    ):
        if value is not None and (not checks.is_whole(value) or value < least):
            msg = f"{where}: {name}={value!r} is not a whole number of at least {least}"
            raise InvalidError(msg)
    if high is not None and low > high:
        msg = f"{where}: min_containers={low} is more than max_containers={high}"
        raise InvalidError(msg)
    checked_size(ranks, where, min_containers=low, max_containers=high, buffer_containers=buffer)
    _within(f"{where}: scaledown_window", window, *_WINDOW_S)
    defaults = Scaling()
    return Scaling(
        min_instances=low // ranks, max_instances=high and high // ranks, buffer_instances=buffer // ranks,
        scaledown_window_s=defaults.scaledown_window_s if window is None else float(window),
    )  # fmt: skip


def _check(options: FunctionOptions, where: str) -> None:
    resources(options, where)
    scaling(options, where)
    _within(f"{where}: timeout", options.get("timeout"), *_TIMEOUT_S)
    _within(f"{where}: startup_timeout", options.get("startup_timeout"), *_TIMEOUT_S)
    _retries(options.get("retries"), where)
    if options.get("max_inputs") not in (None, 1):
        msg = f"{where}: max_inputs={options.get('max_inputs')!r} is not supported; only 1 is, as single_use_containers=True"
        raise InvalidError(msg)
    checks.one(options.get("image"), Image, "image", where, fix="freehold.Image.debian_slim()")
    checks.one(
        options.get("schedule"),
        Schedule,
        "schedule",
        where,
        fix="freehold.Period(hours=1) or freehold.Cron('0 9 * * *')",
    )
    checks.many(options.get("secrets", ()), Secret, "secrets", where, fix=SECRETS)
    checks.variables(options.get("env", {}), where)
    for name in _FLAGS:
        checks.flag(cast("dict[str, Any]", options).get(name), name, where)


def _mounts(given: dict[str, Any], where: str) -> None:
    """Check what is mounted where; file systems of the older kind become volumes."""
    found: dict[str, Any] = checks.mounts(given.get("volumes", {}), (Volume, CloudBucketMount), where)
    systems = checks.mounts(given.pop("network_file_systems", {}), NetworkFileSystem, where, "network_file_systems")
    if twice := found.keys() & systems.keys():
        msg = (
            f"{where}: a volume and a network file system are mounted at {min(twice)!r}: give one of them another path"
        )
        raise InvalidError(msg)
    if found or systems:
        given["volumes"] = found | {path: system.volume for path, system in systems.items()}


def _retries(given: "int | Retries | None", where: str) -> None:
    try:
        retries_spec(given)
    except InvalidError as error:
        msg = f"{where}: {error}"
        raise InvalidError(msg) from None


def _each(given: Any) -> list[Any]:
    return list(cast("Sequence[Any]", given)) if isinstance(given, (list, tuple)) else [given]


def _renamed(given: dict[str, Any], where: str) -> dict[str, Any]:
    for old, new in _RENAMED.items():
        if old in given:
            warn(f"{where}: {old}= is now {new}=", DeprecationError)
            given.setdefault(new, given.pop(old))
    return given


def _files(mounts: Any, where: str) -> None:
    if not mounts:
        return
    if not isinstance(mounts, (list, tuple)) or not all(hasattr(one, "files") for one in cast("list[Any]", mounts)):
        msg = f"{where}: mounts={mounts!r} is not a list of modal.Mount: give image=image.add_local_dir(...) or add_local_file(...) instead"
        raise InvalidError(msg)
    warn(
        f"{where}: mounts= is now image=image.add_local_dir(...), add_local_file(...) or add_local_python_source(...)",
        DeprecationError,
    )


def _gpu(text: object, where: str) -> None:
    if not isinstance(text, str):
        msg = f'{where}: gpu={text!r} is of type {type(text).__name__}: give a name such as gpu="A10G"'
        raise InvalidError(msg)
    try:
        parse_gpu(text)
    except InvalidError as error:
        msg = f"{where}: {error}"
        raise InvalidError(msg) from None


def _pair(value: Any, name: str) -> tuple[float | None, float | None]:
    pair = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value, None)
    if len(pair) != 2 or any(one is not None and not checks.is_amount(one) for one in pair):
        msg = f"{name}={value!r} is neither a number above 0 nor a pair (reserved, limit) of them"
        raise InvalidError(msg)
    low, high = pair
    if low is not None and high is not None and high < low:
        msg = f"{name}={value!r}: the limit is below what is reserved"
        raise InvalidError(msg)
    return low, high


def _within(name: str, value: object, low: float, high: float) -> None:
    if value is None or (checks.is_amount(value) and low <= cast("float", value) <= high):
        return
    msg = f"{name}={value!r} is not a number of seconds between {low:g} and {high:g}"
    raise InvalidError(msg)
