"""What `with_options`, `with_concurrency` and `with_batching` change of a Function: its variant runs in a pool of its own."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from freehold.core.errors import InvalidError
from freehold.core.specs import Batching, BucketMount, Concurrency, FunctionSpec, Retries, SecretRef, VolumeMount


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """None leaves what the function itself says. `env` is laid over the function's own; secrets and volumes replace its own."""

    cpu: tuple[float | None, float | None] | None = None  # reserved, limit
    memory_mib: tuple[int | None, int | None] | None = None  # reserved, limit
    gpu: tuple[str, ...] | None = None
    timeout_s: float | None = None
    retries: Retries | None = None
    max_instances: int | None = None
    buffer_instances: int | None = None
    scaledown_window_s: float | None = None
    concurrency: Concurrency | None = None
    batching: Batching | None = None
    env: dict[str, str] | None = None
    secrets: tuple[SecretRef, ...] | None = None
    volumes: tuple[VolumeMount, ...] | None = None
    buckets: tuple[BucketMount, ...] | None = None  # given, or left out, with the volumes

    def __bool__(self) -> bool:
        """Whether anything is overridden."""
        return any(getattr(self, f.name) is not None for f in fields(self))

    def over(self, earlier: "Overrides") -> "Overrides":
        """Both, where what these say counts."""
        said = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        if self.env is not None and earlier.env is not None:
            said["env"] = earlier.env | self.env
        return replace(earlier, **said)

    def digest(self) -> str:
        """The id of a variant; equal overrides have one, and so one pool."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def applied(self, spec: FunctionSpec) -> FunctionSpec:
        """The function as its variant runs. Raises InvalidError for batching on a class with other methods, and for what a cluster fixes."""
        if spec.cluster_size > 1:
            self._check_cluster(spec.name)
        changes: dict[str, Any] = {
            "timeout_s": self.timeout_s, "retries": self.retries, "concurrency": self.concurrency,
            "secrets": self.secrets, "volumes": self.volumes, "buckets": self.buckets,
            "env": None if self.env is None else spec.env | self.env,
            "resources": replace(spec.resources, **self._resources()), "scaling": replace(spec.scaling, **self._scaling()),
        }  # fmt: skip
        spec = replace(spec, **{name: value for name, value in changes.items() if value is not None})
        return spec if self.batching is None else _batched(spec, self.batching)

    def _check_cluster(self, name: str) -> None:
        fixed = ("cpu", "memory_mib", "gpu", "max_instances", "buffer_instances", "concurrency", "batching")
        if any(getattr(self, field) is not None for field in fixed):
            msg = f"{name!r} is clustered: its resources, limits and concurrency are those of all ranks together; declare it anew to change them"
            raise InvalidError(msg)

    def _resources(self) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if self.cpu is not None:
            changes |= {"cpu": self.cpu[0], "cpu_limit": self.cpu[1]}
        if self.memory_mib is not None:
            changes |= {"memory_mib": self.memory_mib[0], "memory_limit_mib": self.memory_mib[1]}
        return changes if self.gpu is None else changes | {"gpu": self.gpu}

    def _scaling(self) -> dict[str, Any]:
        names = ("max_instances", "buffer_instances", "scaledown_window_s")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def _batched(spec: FunctionSpec, batching: Batching) -> FunctionSpec:
    if spec.kind == "function":
        return replace(spec, batching=batching)
    if len(spec.methods) != 1:
        names = ", ".join(m.name for m in spec.methods)
        msg = f"with_batching on class {spec.name!r}: a batched method must be the only one of its class, and it has {names}"
        raise InvalidError(msg)
    return replace(spec, methods=(replace(spec.methods[0], batching=batching),))
