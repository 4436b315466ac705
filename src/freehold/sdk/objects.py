"""`.objects` of what the server keeps by name: to list and to delete; to make one is each kind's own."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from freehold.core.errors import InvalidError, NotFoundError
from freehold.sdk.environment import given
from freehold.sdk.faces import both

T = TypeVar("T")


class Objects(ABC, Generic[T]):
    """What `objects` of Dict, Queue, Secret and Volume have in common."""

    @both
    async def list(
        self,
        *,
        max_objects: int | None = None,
        created_before: datetime | str | None = None,
        environment_name: str = "",
        client: object = None,
    ) -> "list[T]":
        """Those that have names, the newest first."""
        del client  # one server a process
        if max_objects is not None and max_objects < 0:
            msg = f"max_objects={max_objects} is below 0; give how many to list, or nothing for all"
            raise InvalidError(msg)
        return await self._newest(max_objects, _epoch_s(created_before), given(environment_name))

    @both
    async def delete(
        self, name: str, *, allow_missing: bool = False, environment_name: str | None = None, client: object = None
    ) -> None:
        """Delete the one of this name with all that it holds; NotFoundError when there is none, unless `allow_missing`."""
        del client  # as above
        try:
            await self._delete(name, given(environment_name))
        except NotFoundError:
            if not allow_missing:
                raise

    @abstractmethod
    async def _newest(self, limit: int | None, before_s: float | None, environment: str | None) -> "list[T]":
        """A core of `list`."""

    @abstractmethod
    async def _delete(self, name: str, environment: str | None) -> None:
        """A core of `delete`."""


class _Made(Protocol):
    @property
    def created(self) -> float: ...


V = TypeVar("V", bound=_Made)


def newest(views: Iterable[V], limit: int | None, before_s: float | None) -> list[V]:
    """Of all that there are: the newest first, at most so many, made before a time."""
    found = [v for v in views if before_s is None or v.created < before_s]
    return sorted(found, key=lambda v: v.created, reverse=True)[:limit]


def _epoch_s(created_before: datetime | str | None) -> float | None:
    if created_before is None:
        return None
    try:
        moment = datetime.fromisoformat(created_before) if isinstance(created_before, str) else created_before
        return moment.astimezone().timestamp()
    except (ValueError, OverflowError, AttributeError) as error:
        msg = f"created_before={created_before!r} is no time ({error}): give a datetime, or an ISO date such as '2026-01-31'"
        raise InvalidError(msg) from None
