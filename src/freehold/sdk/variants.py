"""Variants: what `with_options` and its like override of a Function or Cls, admitted by the server when it is first called."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypedDict

from freehold.core import specs
from freehold.core.errors import DeprecationError
from freehold.core.overrides import Overrides
from freehold.protocol import schemas
from freehold.sdk import client
from freehold.sdk.bucket import CloudBucketMount
from freehold.sdk.marks import batching_of, concurrency_of
from freehold.sdk.options import FunctionOptions, checked, mounted, resources, scaling
from freehold.sdk.retries import Retries, retries_spec
from freehold.sdk.secret import Secret
from freehold.sdk.tracebacks import warn
from freehold.sdk.volume import Volume


class Overriding(TypedDict, total=False):
    """Keyword arguments of `with_options`; None leaves what is. Secrets and volumes replace, the rest is laid over."""

    cpu: float | tuple[float, float] | None
    memory: int | tuple[int, int] | None
    gpu: str | Sequence[str] | None
    env: Mapping[str, str | None] | None
    secrets: Sequence[Secret] | None
    volumes: Mapping[str | PurePosixPath, Volume | CloudBucketMount]
    retries: int | Retries | None
    max_containers: int | None
    buffer_containers: int | None
    scaledown_window: float | None
    timeout: float | None
    # taken for Modal's sake, without effect on a platform of one's own
    region: object
    cloud: object
    routing_region: object
    # names that Modal has given up
    concurrency_limit: int | None
    container_idle_timeout: float | None
    allow_concurrent_inputs: int | None


class Variant:
    """Overrides and, once the server has admitted them for a function, their id."""

    def __init__(self, overrides: Overrides, admitted: Mapping[str, str] | None = None) -> None:
        self.overrides = overrides
        self._admitted = dict(admitted or {})  # function id -> variant

    def with_more(self, more: Overrides) -> "Variant":
        return Variant(more.over(self.overrides))

    def known(self, function_id: str) -> str:
        """Its id for a function; "" until it is admitted."""
        return self._admitted.get(function_id, "")

    def admit(self, function_id: str) -> str:
        """Ask the server, once a function. Blocks; raises what a deployment with these options would."""
        if function_id not in self._admitted:
            request = schemas.VariantRequest(function=function_id, overrides=self.overrides)
            view = client.current().api.send("POST", "/v1/pools/variants", request, schemas.VariantView)
            self.overrides, self._admitted[function_id] = view.overrides, view.id
            for warning in view.warnings:
                warn(warning)
        return self._admitted[function_id]

    @property
    def is_open(self) -> bool:
        """Whether it holds a secret's values, which only the server may keep."""
        refs = [*(self.overrides.secrets or ()), *(b.secret for b in self.overrides.buckets or () if b.secret)]
        return any(ref.values is not None for ref in refs)

    def __reduce__(self) -> tuple[object, ...]:
        return Variant, (self.overrides, self._admitted)


def options(given: Mapping[str, Any], where: str) -> Overrides:
    """What `with_options` was given. Raises InvalidError as a decorator with these options would."""
    said = {k: v for k, v in given.items() if v is not None}
    if said.pop("routing_region", None):
        warn(f"{where}: routing_region= has no effect on a platform of your own")
    most = said.pop("allow_concurrent_inputs", None)
    if most is not None:
        warn(f"{where}: allow_concurrent_inputs= is now .with_concurrency(max_inputs=…)", DeprecationError)
    checked_ = checked(said, where, Overriding)
    volumes, buckets = mounted(checked_.get("volumes") or {})
    asked, scaled = resources(checked_, where), scaling(checked_, where)
    return Overrides(
        cpu=(asked.cpu, asked.cpu_limit) if "cpu" in checked_ else None,
        memory_mib=(asked.memory_mib, asked.memory_limit_mib) if "memory" in checked_ else None,
        gpu=asked.gpu or None,
        timeout_s=checked_.get("timeout"),
        retries=_retries(checked_),
        max_instances=scaled.max_instances,
        buffer_instances=scaled.buffer_instances if "buffer_containers" in checked_ else None,
        scaledown_window_s=scaled.scaledown_window_s if "scaledown_window" in checked_ else None,
        concurrency=None if most is None else concurrency_of(most, None),
        env={k: v for k, v in (checked_.get("env") or {}).items() if v is not None} or None,
        secrets=tuple(s.spec for s in checked_.get("secrets") or ()) or None,
        volumes=volumes if volumes or buckets else None,
        buckets=buckets if volumes or buckets else None,
    )


def concurrency(max_inputs: int, target_inputs: int | None) -> Overrides:
    return Overrides(concurrency=concurrency_of(max_inputs, target_inputs))


def batching(max_batch_size: int, wait_ms: int) -> Overrides:
    return Overrides(batching=batching_of(max_batch_size, wait_ms))


def varied(variant: Variant | None, more: Overrides) -> Variant | None:
    """The variant of a handle that is overridden once more."""
    if not more:
        return variant
    return Variant(more) if variant is None else variant.with_more(more)


def _retries(given: FunctionOptions) -> specs.Retries | None:
    if "retries" not in given:
        return None
    return retries_spec(given.get("retries")) or specs.Retries(max_retries=0)
