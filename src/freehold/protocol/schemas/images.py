"""Images, and the blobs that local files travel as."""

from dataclasses import dataclass, field
from typing import Literal

from freehold.core.digests import image_id
from freehold.core.specs import ImageSpec


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    spec: ImageSpec


@dataclass(frozen=True, kw_only=True)
class ImageView:
    digest: str
    state: Literal["building", "ready", "failed", "deleted"]
    created: float
    build_s: float | None = None
    error: str | None = None
    size_bytes: int | None = None
    used: float | None = None  # when something was last started from it
    apps: tuple[str, ...] = ()  # that run now with it
    names: tuple[str, ...] = ()  # NAME:TAG, that it was published under
    steps: tuple[str, ...] = ()  # in short, of `show` alone

    @property
    def id(self) -> str:
        """As `Image.object_id` gives it and `Image.from_id` takes it."""
        return image_id(self.digest)


@dataclass(frozen=True, kw_only=True)
class ImageName:
    name: str  # NAME:TAG


@dataclass(frozen=True, kw_only=True)
class PruneRequest:
    unused_s: float = 0.0  # only images from which nothing was started for so long


@dataclass(frozen=True, kw_only=True)
class PruneResult:
    deleted: tuple[str, ...]  # digests
    freed_bytes: int


@dataclass(frozen=True, kw_only=True)
class Digests:
    """Sha256 hex: those asked about, or of these those that are not there."""

    digests: list[str] = field(default_factory=list[str])
