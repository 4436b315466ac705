"""Content addresses of recipes and functions."""

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

from freehold.core.specs import FunctionSpec, ImageSpec


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=lambda b: b.hex()).encode()


def image_digest(spec: ImageSpec) -> str:
    """Sha256 hex of the recipe; equal recipes share one environment."""
    return sha256(_canonical({"steps": [{"kind": step.kind, "args": step.args} for step in spec.steps]}))


def image_id(digest: str) -> str:
    """As `Image.object_id` gives it and `Image.from_id` takes it."""
    return f"im-{digest[:24]}"


def function_digest(spec: FunctionSpec) -> str:
    """Sha256 hex of everything an instance is started from; equal functions keep their instances over a deploy."""
    return sha256(_canonical(asdict(replace(spec, schedule=None)) | {"image": image_digest(spec.image)}))
