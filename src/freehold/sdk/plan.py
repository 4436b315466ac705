"""What a program would create, worked out without running it or asking a server: functions, images, what they are attached to, an hour's price."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

from freehold.core.digests import image_digest
from freehold.core.errors import NotFoundError
from freehold.core.placement import cpu_of, memory_of
from freehold.core.prices import Prices
from freehold.core.specs import AppSpec, FunctionSpec, ImageSpec, ImageStep
from freehold.sdk.app import App
from freehold.sdk.context import PlanEndsError
from freehold.sdk.loader import find_app
from freehold.sdk.source import Bundles
from freehold.sdk.tracebacks import is_ours


@dataclass(frozen=True, kw_only=True)
class PlannedFunction:
    """Times are seconds, memory MiB, `usd_hour` what one instance costs an hour; None: its accelerator has no price."""

    name: str
    kind: str
    image: str  # digest
    cpu: float
    memory_mib: int
    gpu: tuple[str, ...]
    timeout_s: float
    min_instances: int
    max_instances: int | None
    methods: tuple[str, ...]
    endpoints: tuple[str, ...]  # method names; "" is the function itself
    secrets: tuple[str, ...]
    volumes: tuple[str, ...]  # name:path
    usd_hour: float | None


@dataclass(frozen=True, kw_only=True)
class PlannedImage:
    digest: str
    steps: tuple[str, ...]
    functions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`usd_hour_at_rest` is what the instances cost that are always kept."""

    app: str | None
    program: str  # the file or module
    functions: tuple[PlannedFunction, ...]
    images: tuple[PlannedImage, ...]
    entrypoints: tuple[str, ...]
    files: int
    files_bytes: int
    usd_hour_at_rest: float | None
    ends: str | None = None  # where and why the program was not read to its end


def declared_before(error: PlanEndsError) -> tuple[App, str]:
    """What a program had declared when it asked for a server as it was loaded, and where it did; raises `error` where there is no app yet."""
    cause = error.__cause__
    if isinstance(cause, PlanEndsError):
        for frame, line in traceback.walk_tb(cause.__traceback__):
            if frame.f_code.co_name == "<module>" and not is_ours(frame.f_code.co_filename):
                module = ModuleType(frame.f_globals["__name__"])
                vars(module).update(frame.f_globals)
                sys.modules[module.__name__] = module  # where the sources of what it declares are looked for
                with suppress(NotFoundError):
                    return find_app(module), f"line {line}, where {cause.what}: a plan runs nothing"
                break
    raise error


def plan(app: App, prices: Prices, ends: str | None = None) -> Plan:
    """Read the program's declarations; its files are read, and nothing is sent."""
    with Bundles() as bundles:
        spec = app.spec(bundles)
        size = sum(bundles.sizes.values())
        count = len(bundles.tars)
    functions = tuple(_function(f, prices) for f in spec.functions)
    kept = [f for f in functions if f.min_instances]
    return Plan(
        app=spec.name,
        program=app.program,
        functions=functions,
        images=tuple(_images(spec)),
        entrypoints=tuple(app.registered_entrypoints),
        files=count,
        files_bytes=size,
        usd_hour_at_rest=None
        if any(f.usd_hour is None for f in kept)
        else sum(f.min_instances * (f.usd_hour or 0) for f in kept),
        ends=ends,
    )


def _function(spec: FunctionSpec, prices: Prices) -> PlannedFunction:
    return PlannedFunction(
        name=spec.name,
        kind=spec.kind,
        image=image_digest(spec.image),
        cpu=cpu_of(spec.resources),
        memory_mib=memory_of(spec.resources),
        gpu=spec.resources.gpu,
        timeout_s=spec.timeout_s,
        min_instances=spec.scaling.min_instances,
        max_instances=spec.scaling.max_instances,
        methods=tuple(m.name for m in spec.methods),
        endpoints=tuple(spec.endpoints()),
        secrets=tuple(s.name or f"({', '.join(sorted(s.values or ()))})" for s in spec.secrets),
        volumes=tuple(f"{v.name}:{v.path}" for v in spec.volumes),
        usd_hour=prices.hour(spec.resources),
    )


def _images(spec: AppSpec) -> Iterator[PlannedImage]:
    distinct: dict[str, ImageSpec] = {image_digest(f.image): f.image for f in spec.functions}
    for digest, image in distinct.items():
        users = tuple(f.name for f in spec.functions if image_digest(f.image) == digest)
        yield PlannedImage(digest=digest, steps=tuple(_shown(s) for s in image.steps), functions=users)


def _shown(step: ImageStep) -> str:
    """A step as its author wrote it, in short."""
    args = step.args
    match step.kind:
        case "env":
            return f"env {' '.join(cast('dict[str, str]', args.get('vars') or {}))}"
        case "add_local":
            return f"add_local {args['remote_path']}"
        case "run_function":
            return f"run_function {args['qualname']}"
        case _:
            return " ".join([step.kind, *_words(args)])


def _words(args: dict[str, Any]) -> Iterator[str]:
    for name in ("python_version", "tag", "packages", "requirements", "commands", "path"):
        value = args.get(name)
        if isinstance(value, (list, tuple)):
            yield from (str(v) for v in cast("list[Any]", value))
        elif value:
            yield str(value)
