"""What Dict and Queue have in common as things on the server: found by name or id when first used, made, listed, deleted, ephemeral."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

from freehold.core.environments import check_environment
from freehold.core.errors import AlreadyExistsError, Error, InvalidError, NotFoundError
from freehold.core.limits import LEASE_S
from freehold.core.names import check_name
from freehold.protocol.stored import DictView, NamedRequest
from freehold.sdk import client
from freehold.sdk.faces import blocking, both, drive, drive_async
from freehold.sdk.http import Api, segment

T = TypeVar("T")
NamedT = TypeVar("NamedT")
_log = logging.getLogger("freehold.client")
_BEAT_S = LEASE_S / 4
_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Noun:
    one: Literal["dict", "queue"]
    title: Literal["Dict", "Queue"]

    @property
    def path(self) -> str:
        return f"/v1/{self.one}s"


class Handle:
    """One of them. `view` is there once the server was asked."""

    def __init__(
        self,
        noun: Noun,
        *,
        name: str | None = None,
        ref: str | None = None,
        create: bool = False,
        view: DictView | None = None,
        environment: str | None = None,
    ) -> None:
        self.noun, self.name, self.view = noun, name or (view.name if view else None), view
        self.environment = check_environment(environment) if environment else ""
        self._ref, self._create = ref or (view.id if view else None), create

    def __repr__(self) -> str:
        by = f"from_name({self.name!r})" if self.name else f"from_id({self._ref!r})"
        return f"{self.noun.title}.{by}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.noun, self.name, self._ref, self._create, self.environment)

    @property
    def shown(self) -> str:
        return f"{self.noun.title} {self.name or self._ref!r}"

    @property
    def api(self) -> Api:
        return api_of(self.environment)

    @property
    def object_id(self) -> str:
        if self.view is None:
            raise AttributeError(
                f"{self!r} has no object_id yet: it is asked of the server on first use; call .hydrate()"
            )
        return self.view.id

    async def hydrate(self) -> DictView:
        """A core: ask the server now. NotFoundError unless it is there, or made."""
        if self.view is None:
            if self._create and self.name and not self._ref:
                body = msgspec.json.encode(NamedRequest(name=self.name, allow_existing=True))
                data = await self.request("POST", self.noun.path, body, again=True)
            else:
                data = await self.request(
                    "GET", f"{self.noun.path}/{segment(self._ref or self.name or '')}", again=True
                )
            self.view = msgspec.json.decode(data, type=DictView)
            self.name = self.view.name
        return self.view

    async def ask(self, verb: str, body: Any, into: type[T], *, wait_s: float = 0.0, again: bool = False) -> T:
        """A core: send one msgpack request, read its msgpack answer."""
        data = await self._post(verb, msgspec.msgpack.encode(body), wait_s=wait_s, again=again)
        return msgspec.msgpack.decode(data, type=into)

    async def tell(self, verb: str, body: Any = None, *, again: bool = False) -> bytes:
        """A core: send one msgpack request; its answer holds no bytes of ours."""
        return await self._post(verb, b"" if body is None else msgspec.msgpack.encode(body), again=again)

    async def _post(self, verb: str, body: bytes, *, wait_s: float = 0.0, again: bool = False) -> bytes:
        view = self.view or await self.hydrate()
        return await self.request("POST", f"{self.noun.path}/{view.id}/{verb}", body, wait_s=wait_s, again=again)

    async def request(
        self, method: str, path: str, body: bytes = b"", *, wait_s: float = 0.0, again: bool = False
    ) -> bytes:
        """A core: one request about its environment."""
        return await ask(method, path, body, wait_s=wait_s, again=again, environment=self.environment)

    async def path(self) -> str:
        """A core: its own path on the server."""
        return f"{self.noun.path}/{(await self.hydrate()).id}"

    async def created_at(self) -> datetime:
        """A core: when it was made, in local time."""
        return datetime.fromtimestamp((await self.hydrate()).created).astimezone()


def _restored(noun: Noun, name: str | None, ref: str | None, create: bool, environment: str) -> Handle:
    return Handle(noun, name=name, ref=ref, create=create, environment=environment)


async def ask(
    method: str, path: str, body: bytes = b"", *, wait_s: float = 0.0, again: bool = False, environment: str = ""
) -> bytes:
    """A core: one request over the client's kept connections."""
    connections = client.current().connections
    return await connections.ask(method, path, body, wait_s=wait_s, again=again, environment=environment)


def api_of(environment: str = "") -> Api:
    """The API of an environment, for what is large or sent from a thread of ours."""
    current = client.current()
    return Api(replace(current.target, environment=environment)) if environment else current.api


class Objects(Generic[NamedT]):
    """`Dict.objects` and `Queue.objects`: those that have names."""

    def __init__(self, noun: Noun, of: Callable[[Handle], NamedT]) -> None:
        self._noun, self._of = noun, of

    @both
    async def create(
        self, name: str, *, allow_existing: bool = False, environment_name: str | None = None, client: object = None
    ) -> None:
        """Make one of this name; AlreadyExistsError when there is one, unless `allow_existing`."""
        del client  # one server a process
        check_name(name, f"a {self._noun.title}")
        try:
            body = msgspec.json.encode(NamedRequest(name=name))
            await ask("POST", self._noun.path, body, environment=environment_name or "")
        except AlreadyExistsError:
            if not allow_existing:
                raise

    @both
    async def list(
        self, *, max_objects: int | None = None, created_before: datetime | str | None = None,
        environment_name: str = "", client: object = None,
    ) -> "list[NamedT]":  # fmt: skip
        """Handles of those that have names, the newest first."""
        del client  # as above
        if max_objects is not None and max_objects < 0:
            raise InvalidError(f"max_objects={max_objects} is below 0; give how many to list, or nothing for all")
        found: list[DictView] = []
        before = _moment(created_before)
        while max_objects is None or len(found) < max_objects:
            limit = _PAGE if max_objects is None else min(_PAGE, max_objects - len(found))
            query = f"?limit={limit}" + ("" if before is None else f"&before={before!r}")
            data = await ask("GET", self._noun.path + query, again=True, environment=environment_name)
            page = msgspec.json.decode(data, type=list[DictView])
            found += page
            if len(page) < limit:
                break
            before = page[-1].created
        return [self._of(Handle(self._noun, view=view, environment=environment_name)) for view in found]

    @both
    async def delete(
        self, name: str, *, allow_missing: bool = False, environment_name: str | None = None, client: object = None
    ) -> None:
        """Delete the one of this name with all that it holds; NotFoundError when there is none, unless `allow_missing`."""
        del client  # as above
        check_name(name, f"a {self._noun.title}")
        try:
            await ask("DELETE", f"{self._noun.path}/{segment(name)}", environment=environment_name or "")
        except NotFoundError:
            if not allow_missing:
                raise


class Ephemeral(Generic[NamedT]):
    """`with …ephemeral() as one:`, or `async with`. It goes at the block's end, or soon after this process's."""

    def __init__(self, noun: Noun, of: Callable[[Handle], NamedT], environment: str | None = None) -> None:
        self._noun, self._of = noun, of
        self._environment = check_environment(environment) if environment else ""
        self._ended = threading.Event()

    def __enter__(self) -> NamedT:
        return drive(self._begin())

    def __exit__(self, *_: object) -> None:
        drive(self._end())

    async def __aenter__(self) -> NamedT:
        return await drive_async(self._begin())

    async def __aexit__(self, *_: object) -> None:
        await drive_async(self._end())

    async def _begin(self) -> NamedT:
        body = msgspec.json.encode(NamedRequest())
        data = await ask("POST", self._noun.path, body, environment=self._environment)
        view = msgspec.json.decode(data, type=DictView)
        self._path = f"{self._noun.path}/{view.id}"
        threading.Thread(target=self._beat, name=f"freehold-{view.id}", daemon=True).start()
        return self._of(Handle(self._noun, view=view, environment=self._environment))

    async def _end(self) -> None:
        self._ended.set()
        try:
            await blocking(api_of(self._environment).act, "DELETE", self._path)
        except Error as error:  # it ends by itself when it hears of us no more
            _log.debug("freehold: %s was not deleted: %s", self._path, error)

    def _beat(self) -> None:
        api = api_of(self._environment)
        while not self._ended.wait(_BEAT_S):
            try:
                api.act("POST", f"{self._path}/heartbeat")
            except NotFoundError:
                return
            except Error as error:  # the server may be back for the next one
                _log.debug("freehold: %s hears of us no more: %s", self._path, error)


def _moment(value: datetime | str | None) -> float | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone().timestamp()
    except (ValueError, OverflowError, AttributeError) as error:
        raise InvalidError(
            f"created_before={value!r} is no time ({error}): give a datetime, or an ISO date such as '2026-01-31'"
        ) from None
