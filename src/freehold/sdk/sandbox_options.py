"""What a sandbox and a command in it are asked for: options, checked where they stand, and what the server is told of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from freehold.core.errors import DeprecationError, InvalidError, UnimplementedError
from freehold.core.specs import SandboxSpec
from freehold.protocol.schemas import CommandRequest
from freehold.sdk import checks
from freehold.sdk.bucket import CloudBucketMount
from freehold.sdk.container_process import Reading
from freehold.sdk.image import Image, default_image
from freehold.sdk.options import SECRETS, FunctionOptions, resources
from freehold.sdk.probe import Probe
from freehold.sdk.secret import Secret
from freehold.sdk.source import Bundles
from freehold.sdk.stream_type import StreamType
from freehold.sdk.tracebacks import warn
from freehold.sdk.volume import Volume

if TYPE_CHECKING:
    from freehold.sdk.app import App

_TERMINAL = (24, 80)


class SandboxOptions(TypedDict, total=False):
    """Options of `Sandbox.create`. Times are seconds, memory is MiB, cpu is cores."""

    app: "App | None"  # needed outside of an instance
    name: str | None  # unique among the app's running sandboxes
    tags: Mapping[str, str] | None
    image: Image | None
    env: Mapping[str, str | None] | None
    secrets: Collection[Secret] | None
    timeout: int | None  # of its whole life; 300
    idle_timeout: int | None
    workdir: str | None
    gpu: str | None
    cpu: float | tuple[float, float] | None
    memory: int | tuple[int, int] | None
    block_network: bool
    outbound_cidr_allowlist: Sequence[str] | None
    outbound_domain_allowlist: Sequence[str] | None
    cidr_allowlist: Sequence[str] | None  # the old name
    volumes: Mapping[str, Volume | CloudBucketMount]  # buckets are refused
    pty: bool
    encrypted_ports: Sequence[int]
    h2_ports: Sequence[int]
    unencrypted_ports: Sequence[int]
    readiness_probe: Probe | None
    verbose: bool
    # taken for Modal's sake, without effect on a platform of one's own
    cloud: object
    region: object
    runtime: object
    client: object
    environment_name: object
    inbound_cidr_allowlist: object
    experimental_options: object
    pty_info: object
    # what cannot be had here
    network_file_systems: object
    proxy: object
    custom_domain: object
    include_oidc_identity_token: bool
    _experimental_outbound_policy: object
    _experimental_enable_snapshot: bool
    _experimental_persistent: bool


class ExecOptions(TypedDict, total=False):
    """Options of `Sandbox.exec`."""

    stdout: StreamType
    stderr: StreamType
    timeout: float | None  # seconds; then it is killed, and wait() gives -1
    workdir: str | None
    env: Mapping[str, str | None] | None
    secrets: Collection[Secret] | None
    text: bool
    bufsize: Literal[-1, 1]  # 1: whole lines only
    pty: bool
    pty_info: object


_WITHOUT_EFFECT = ("cloud", "region", "runtime", "experimental_options", "inbound_cidr_allowlist", "verbose")
_CANNOT = {
    "network_file_systems": "network file systems are no more: use volumes=",
    "proxy": "the machine's own network is used, which has its own address",
    "custom_domain": "sandboxes are reached on this machine's loopback: put a proxy of your own before it",
    "include_oidc_identity_token": "nobody here issues identities",
    "_experimental_outbound_policy": "requests are not opened, so their headers cannot be replaced",
    "_experimental_persistent": "a sandbox ends for good: take snapshot_filesystem() and start from it",
}


def checked(options: Mapping[str, Any]) -> SandboxOptions:
    where = "Sandbox.create"
    checks.known_options(options, SandboxOptions.__annotations__, where)
    if "timeout" in options and options["timeout"] is None:
        msg = f"{where}: timeout=None is no limit; give seconds, at most a week"
        raise InvalidError(msg)
    given = {k: v for k, v in options.items() if v is not None}
    for name, why in _CANNOT.items():
        if given.pop(name, None):
            raise UnimplementedError(f"{where}: {name}= cannot be had here: {why}")
    for name in _WITHOUT_EFFECT:
        if given.pop(name, None) and name != "verbose":
            warn(f"{where}: {name}= has no effect on a platform of your own")
    if "cidr_allowlist" in given:
        if "outbound_cidr_allowlist" in given:
            msg = f"{where}: give outbound_cidr_allowlist=, and not its old name cidr_allowlist= too"
            raise InvalidError(msg)
        warn(f"{where}: cidr_allowlist= is now outbound_cidr_allowlist=", DeprecationError)
        given["outbound_cidr_allowlist"] = given.pop("cidr_allowlist")
    if isinstance(given.get("gpu"), (list, tuple)):
        msg = f"{where}: gpu={given['gpu']!r}: a sandbox takes one kind, such as gpu='A10G'"
        raise InvalidError(msg)
    return cast(SandboxOptions, given)


def sandbox_spec(args: Sequence[str], given: SandboxOptions, bundles: Bundles) -> SandboxSpec:
    """What the server is told; tars of the files that go along are added to `bundles`."""
    where = "Sandbox.create"
    _texts(args, where)
    checks.one(given.get("image"), Image, "image", where, fix="freehold.Image.debian_slim()")
    image = given.get("image") or default_image()
    secrets = checks.many(list(given.get("secrets") or ()), Secret, "secrets", where, fix=SECRETS)
    mounts = checks.mounts(given.get("volumes") or {}, (Volume, CloudBucketMount), where)
    volumes = {path: one for path, one in mounts.items() if isinstance(one, Volume)}
    if len(volumes) < len(mounts):
        msg = f"{where}: untrusted code is given no bucket, whose folder the server reads too: copy what it needs into a volume"
        raise UnimplementedError(msg)
    cidrs, domains = given.get("outbound_cidr_allowlist"), given.get("outbound_domain_allowlist")
    idle, probe = given.get("idle_timeout"), given.get("readiness_probe")
    return SandboxSpec(
        command=tuple(args), name=given.get("name"), image=image.spec(bundles), mounts=bundles.mounts(image.files),
        env=checks.variables(given.get("env") or {}, where), secrets=tuple(s.spec for s in secrets),
        volumes=tuple(v.mount(path) for path, v in volumes.items()),
        resources=resources(cast(FunctionOptions, {k: v for k, v in given.items() if k in ("cpu", "memory", "gpu")}), where),
        timeout_s=float(given.get("timeout") or 300), idle_timeout_s=None if idle is None else float(idle), workdir=given.get("workdir"),
        block_network=bool(given.get("block_network")), cidrs=None if cidrs is None else tuple(cidrs),
        domains=None if domains is None else tuple(domains), ports=_ports(given), terminal=bool(given.get("pty")),
        tags=checked_tags(given.get("tags") or {}), probe=None if probe is None else probe.spec,
    )  # fmt: skip


def command_request(args: Sequence[str], options: ExecOptions, reading: Reading) -> CommandRequest:
    where = "Sandbox.exec"
    _texts(args, where)
    if reading.by_line and not reading.text:
        msg = f"{where}: bufsize=1 gives lines of text, and text=False gives bytes: leave one of them out"
        raise ValueError(msg)
    secrets = checks.many(list(options.get("secrets") or ()), Secret, "secrets", where, fix=SECRETS)
    return CommandRequest(
        argv=tuple(args), env=checks.variables(options.get("env") or {}, where), secrets=tuple(s.spec for s in secrets),
        workdir=options.get("workdir"), timeout_s=options.get("timeout"), terminal=_TERMINAL if options.get("pty") else None,
        silent=_silent(reading),
    )  # fmt: skip


def _silent(reading: Reading) -> tuple[Literal["stdout", "stderr"], ...]:
    out: tuple[Literal["stdout"], ...] = ("stdout",) if reading.stdout is StreamType.DEVNULL else ()
    return (*out, "stderr") if reading.stderr is StreamType.DEVNULL else out


def _ports(given: SandboxOptions) -> tuple[int, ...]:
    ports = [*given.get("encrypted_ports", ()), *given.get("h2_ports", ()), *given.get("unencrypted_ports", ())]
    wrong = next((p for p in ports if not checks.is_whole(p)), None)
    if wrong is not None:
        msg = f"Sandbox.create: port {wrong!r} is not a whole number"
        raise InvalidError(msg)
    return tuple(ports)


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    wrong = next((p for p in tags.items() if not all(isinstance(t, str) for t in p)), None)  # pyright: ignore[reportUnnecessaryIsInstance]
    if wrong is not None:
        msg = f"tag {wrong!r} is not a pair of texts"
        raise InvalidError(msg)
    return dict(tags)


def _texts(args: Sequence[str], where: str) -> None:
    wrong = next((a for a in args if not isinstance(a, str)), None)  # pyright: ignore[reportUnnecessaryIsInstance]
    if wrong is not None:
        msg = f"{where}: argument {wrong!r} is not a text"
        raise InvalidError(msg)
