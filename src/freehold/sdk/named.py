"""Dict and Queue as things on the server: found by name or id when first used, made, listed, deleted, ephemeral."""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, Self, TypeVar

import msgspec

from freehold.core.errors import AlreadyExistsError, DeprecationError, Error, InvalidError, NotFoundError
from freehold.core.limits import LEASE_S
from freehold.core.names import check_name
from freehold.protocol.stored import DictView, NamedRequest
from freehold.sdk import client
from freehold.sdk.entries import moment
from freehold.sdk.environment import api_of, given
from freehold.sdk.ephemeral import Ephemeral
from freehold.sdk.faces import both, both_class, drive
from freehold.sdk.former import Former
from freehold.sdk.http import Api, segment
from freehold.sdk.objects import Objects
from freehold.sdk.tracebacks import warn

T = TypeVar("T")
NamedT = TypeVar("NamedT", bound="Named")
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

    def checked(self, name: str) -> str:
        """The name of one of them; InvalidError when it can be none."""
        return check_name(name, f"a {self.title}")


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
        self.environment = environment
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
        return moment((await self.hydrate()).created)


def _restored(noun: Noun, name: str | None, ref: str | None, create: bool, environment: str | None) -> Handle:
    return Handle(noun, name=name, ref=ref, create=create, environment=environment)


async def ask(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    wait_s: float = 0.0,
    again: bool = False,
    environment: str | None = None,
) -> bytes:
    """A core: one request over the client's kept connections."""
    connections = client.current().connections
    return await connections.ask(method, path, body, wait_s=wait_s, again=again, environment=environment or "")


class Named(Former):
    """What Dict and Queue have in common."""

    _noun: ClassVar[Noun]
    _handle: Handle

    def __init__(self) -> None:
        title = self._noun.title
        raise InvalidError(
            f"{title}() cannot be made by itself: use {title}.from_name('NAME', create_if_missing=True) or {title}.ephemeral()"
        )

    def __repr__(self) -> str:
        return repr(self._handle)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._of, (self._handle,)

    @classmethod
    def from_name(
        cls, name: str, *, environment_name: str | None = None, create_if_missing: bool = False, client: object = None
    ) -> Self:
        """The one of this name; nothing is asked of the server until it is used."""
        del client  # one server a process
        environment = given(environment_name)
        return cls._of(
            Handle(cls._noun, name=cls._noun.checked(name), create=create_if_missing, environment=environment)
        )

    @classmethod
    def _from_id(cls, ref: str) -> Self:
        return cls._of(Handle(cls._noun, ref=ref))

    @classmethod
    def _ephemeral(cls, environment_name: str | None) -> Ephemeral[Self]:
        """One without a name. It goes at the block's end, or soon after this process's."""
        environment = given(environment_name)
        leases: list[_Lease] = []

        def make() -> Self:
            body = msgspec.json.encode(NamedRequest())
            data = drive(ask("POST", cls._noun.path, body, environment=environment))
            handle = Handle(cls._noun, view=msgspec.json.decode(data, type=DictView), environment=environment)
            leases.append(_Lease(handle))
            return cls._of(handle)

        return Ephemeral(make, lambda _: leases.pop().end())

    @classmethod
    def _of(cls, handle: Handle) -> Self:
        made = cls.__new__(cls)
        made._handle = handle
        return made

    @property
    def name(self) -> str | None:
        return self._handle.name

    @property
    def object_id(self) -> str:
        return self._handle.object_id

    @both
    async def hydrate(self, client: object = None) -> Self:
        """Ask the server now whether it is there, or make it."""
        del client  # as above
        await self._handle.hydrate()
        return self

    # ---- old spellings

    @both_class
    @classmethod
    async def lookup(
        cls, name: str, *, environment_name: str | None = None, create_if_missing: bool = False, client: object = None
    ) -> Self:
        """As `from_name(...).hydrate()`."""
        del client  # as above
        title = cls._noun.title
        warn(
            f"{title}.lookup is deprecated: write {title}.from_name({name!r}), and .hydrate() to ask the server at once",
            DeprecationError,
        )
        found = cls.from_name(name, environment_name=environment_name, create_if_missing=create_if_missing)
        await found._handle.hydrate()
        return found

    @both_class
    @classmethod
    async def delete(cls, name: str, *, environment_name: str | None = None, client: object = None) -> None:
        """As `objects.delete`."""
        del client  # as above
        title = cls._noun.title
        warn(f"{title}.delete is deprecated: write {title}.objects.delete({name!r})", DeprecationError)
        await _delete(cls._noun, name, given(environment_name))


class NamedObjects(Objects[NamedT]):
    """`Dict.objects` and `Queue.objects`."""

    def __init__(self, kind: type[NamedT]) -> None:
        self._noun, self._of = kind._noun, kind._of

    @both
    async def create(
        self, name: str, *, allow_existing: bool = False, environment_name: str | None = None, client: object = None
    ) -> None:
        """Make one of this name; AlreadyExistsError when there is one, unless `allow_existing`."""
        del client  # one server a process
        body = msgspec.json.encode(NamedRequest(name=self._noun.checked(name)))
        try:
            await ask("POST", self._noun.path, body, environment=given(environment_name))
        except AlreadyExistsError:
            if not allow_existing:
                raise

    async def _newest(self, limit: int | None, before_s: float | None, environment: str | None) -> "list[NamedT]":
        found: list[DictView] = []
        while limit is None or len(found) < limit:
            wanted = _PAGE if limit is None else min(_PAGE, limit - len(found))
            query = f"?limit={wanted}" + ("" if before_s is None else f"&before={before_s!r}")
            data = await ask("GET", self._noun.path + query, again=True, environment=environment)
            page = msgspec.json.decode(data, type=list[DictView])
            found += page
            if len(page) < wanted:
                break
            before_s = page[-1].created
        return [self._of(Handle(self._noun, view=view, environment=environment)) for view in found]

    async def _delete(self, name: str, environment: str | None) -> None:
        await _delete(self._noun, name, environment)


async def _delete(noun: Noun, name: str, environment: str | None) -> None:
    """A core: delete the one of this name; NotFoundError when there is none."""
    await ask("DELETE", f"{noun.path}/{segment(noun.checked(name))}", environment=environment)


class _Lease:
    """Tells the server that this process still has it."""

    def __init__(self, handle: Handle) -> None:
        self._handle, self._path = handle, f"{handle.noun.path}/{handle.object_id}"
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name=f"freehold-{handle.object_id}", daemon=True).start()

    def end(self) -> None:
        self._ended.set()
        try:
            self._handle.api.act("DELETE", self._path)
        except Error as error:  # it ends by itself when it hears of us no more
            _log.debug("freehold: %s was not deleted: %s", self._path, error)

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_S):
            try:
                self._handle.api.act("POST", f"{self._path}/heartbeat")
            except NotFoundError:
                return
            except Error as error:  # the server may be back for the next one
                _log.debug("freehold: %s hears of us no more: %s", self._path, error)
