"""The client: one link to the server, kept by a thread of its own, shared by all calls of the process.

Hello and AppRequest carry the same `client` text, so that the server knows whose ephemeral app ends with which link.
When the link breaks, it is dialled again and every unanswered call is sent once more with `again=True`: the server knows
each input by call and index, so a repeated one is harmless. A process that forks gets a client of its own in the child.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import cached_property
from typing import Protocol, Self

import msgspec

from freehold.core.errors import AuthError, ConnectionError, Error, InvalidError, VersionError
from freehold.core.ids import new_id
from freehold.core.processes import open_standard_streams
from freehold.protocol.arena import Arena
from freehold.protocol.errors import from_wire
from freehold.protocol.frames import (
    Accepted,
    Cancel,
    Extend,
    Frame,
    Hello,
    Item,
    Output,
    Payload,
    Refused,
    Release,
    Room,
    Submit,
    ToClient,
    Welcome,
)  # fmt: skip
from freehold.protocol.link import Link, open_link
from freehold.protocol.version import PROTOCOL_VERSION
from freehold.sdk.carrier import Blobs, Shared
from freehold.sdk.config import Target, discover, no_server
from freehold.sdk.connections import Connections
from freehold.sdk.context import is_planned, refuse_in_plan
from freehold.sdk.exchange import Exchange
from freehold.sdk.http import Api, auth_error
from freehold.sdk.serialization import Sink, Source

_DECODER: "msgspec.msgpack.Decoder[list[ToClient]]" = msgspec.msgpack.Decoder(list[ToClient])
_WELCOME_S = 10.0
_GIVE_UP_S, _TELL_S = 60.0, 1.0  # without a link; a server that is started anew is back sooner
_log = logging.getLogger("freehold.client")
_NOWHERE = Target(api="", link="", token="", token_source="a plan")  # noqa: S106 (there is no token)
_BACKOFF_S = (0.02, 0.05, 0.1, 0.2, 0.5)


class Channel(Protocol):
    """What the client needs of a link, over whichever transport."""

    def send(self, message: Frame) -> None: ...
    def send_now(self, message: Frame) -> bool: ...
    def close(self) -> None: ...


class Client:
    """A link and what goes over it. Every method may be called from any thread."""

    def __init__(self, target: Target, *, give_up_s: float = _GIVE_UP_S) -> None:
        self.target = target
        self.name = f"{os.path.basename(sys.argv[0] or 'python')} {new_id('cl')}"  # noqa: PTH119 (argv is no path on every platform)
        self.ready = False  # welcomed at least once, and not given up
        self.dead = False
        self.detached = False
        self._shared: Shared | None = None  # when both are on one machine
        self._give_up_s = give_up_s
        self._exchanges: dict[str, Exchange] = {}
        self._watchers: dict[str, list[Exchange]] = {}
        self._outgoing: deque[Frame] = deque()
        self._scheduled = False
        self._starting = threading.Lock()
        self._channel: Channel | None = None
        self._closing = False

    # ---- under the names that Modal's users know

    @staticmethod
    def from_env() -> "Client":
        """The process's client: of the home, or of what FREEHOLD_SERVER, FREEHOLD_TOKEN and the profile say."""
        return Client(_NOWHERE) if is_planned() else current()

    @staticmethod
    def from_credentials(token_id: str, token_secret: str) -> "Client":
        """A client of the same server with another token, `token_secret`; an id goes with none."""
        del token_id
        target = _NOWHERE if is_planned() else discover()
        return Client(replace(target, token=token_secret, token_source="Client.from_credentials"))  # noqa: S106 (where it is from)

    def hello(self) -> None:
        """Connect now: raises ConnectionError, AuthError or VersionError."""
        self.start()

    def is_closed(self) -> bool:
        return self.dead

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self is not _current:
            self.close()

    @cached_property
    def api(self) -> Api:
        return Api(self.target)

    @cached_property
    def connections(self) -> Connections:
        """For requests that come often, or that wait."""
        return Connections(self.target)

    @cached_property
    def _blobs(self) -> Blobs:
        return Blobs(self.api)

    @property
    def sink(self) -> Sink:
        """Where large pieces go that need last no longer than this process."""
        return self._shared or self._blobs

    @property
    def durable_sink(self) -> Sink:
        """Where large pieces go that must outlast this process."""
        return self._blobs

    def kept(self, payload: Payload) -> Payload:
        """The payload in a form that may be read again and again."""
        return self._shared.inlined(payload) if self._shared else payload

    @property
    def source(self) -> Source:
        """Where large pieces of what we get are opened."""
        return self._shared or self._blobs

    # ---- the user's threads

    def start(self) -> None:
        """Connect, if that is not done: blocks; raises ConnectionError, AuthError or VersionError."""
        refuse_in_plan("a server is called")
        with self._starting:
            if self.ready:
                return
            started: Future[None] = Future()
            self._loop = _new_loop()
            self._thread = threading.Thread(target=self._run, args=(started,), name="freehold-link", daemon=True)
            self._thread.start()
            try:
                started.result()
            except BaseException:
                self.dead = True
                raise

    def submit(self, exchange: Exchange) -> None:
        """Send a call; its answers come to `exchange` until it is forgotten."""
        assert exchange.submit is not None  # only watches have none
        exchange.shared = self._shared
        self._exchanges[exchange.call] = exchange
        channel = self._channel if len(self._exchanges) == 1 else None  # with others, it goes in one write with theirs
        if channel is None or not channel.send_now(exchange.submit):
            self.post(exchange.submit)

    def watch(self, exchange: Exchange) -> None:
        """Ask for the answers of a call that was made before, or elsewhere."""
        self._watchers.setdefault(exchange.call, []).append(exchange)
        for message in exchange.again():
            self.post(message)

    def abandon(self, call: str) -> None:
        """Nobody waits for this call any longer: stop its work. What a detached app does goes on after Ctrl-C."""
        if not self.dead and not (self.detached and isinstance(sys.exception(), KeyboardInterrupt)):
            self.post(Cancel(call))

    def forget(self, exchange: Exchange) -> None:
        exchange.leave()
        if self._exchanges.get(exchange.call) is exchange:
            del self._exchanges[exchange.call]
            return
        watchers = self._watchers.get(exchange.call)
        if watchers and exchange in watchers:
            watchers.remove(exchange)
            if not watchers:
                self._watchers.pop(exchange.call, None)

    def post(self, message: Frame) -> None:
        """Send one message at the end of the loop's next turn."""
        self._outgoing.append(message)
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._pump)
            except RuntimeError as error:  # the loop is closed
                raise no_server(self.target, "the client was closed") from error

    def close(self) -> None:
        """Send what is left and hang up."""
        self.dead = True
        self.connections.close()
        if self.ready and self._thread.is_alive():
            self._closing = True
            self._loop.call_soon_threadsafe(self._hang_up)
            self._thread.join(timeout=2)
        if self._shared is not None:
            self._shared.close()

    # ---- the link's thread

    def _run(self, started: "Future[None]") -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._keep(started))
        finally:
            self.ready, self.dead = False, True
            self._loop.close()

    async def _keep(self, started: "Future[None]") -> None:
        self._lost = asyncio.Event()
        try:
            await self._connect()
        except Exception as error:  # noqa: BLE001 (the caller of start() gets it)
            started.set_exception(error)
            return
        self.ready = True
        started.set_result(None)
        while True:
            await self._lost.wait()
            if self._closing:
                return
            try:
                await self._reconnect()
            except Error as error:
                self._fail(error)
                return

    async def _connect(self) -> None:
        self._lost.clear()
        self._welcomed: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        channel = await self._dial()
        channel.send(Hello(self.target.token, PROTOCOL_VERSION, self.name, self.target.environment))
        try:
            welcome = await asyncio.wait_for(self._welcomed, _WELCOME_S)
        except TimeoutError as error:
            await self._leave(channel)
            raise no_server(self.target, f"no welcome within {_WELCOME_S:g} s") from error
        except Error:
            await self._leave(channel)
            raise
        if welcome.arena and self._shared is None and self.target.link.startswith("unix:"):
            arena = Arena(welcome.arena, self.name.rpartition(" ")[2])
            self._shared = Shared(arena, self.api, lambda names: self.post(Release(names)))
        self._channel = channel

    async def _leave(self, channel: Channel) -> None:
        """Hang up and wait until that is done, so that the loop can be closed."""
        channel.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._lost.wait(), 1)

    async def _dial(self) -> Channel:
        address = self.target.link
        try:
            if address.startswith("unix:"):
                return await open_link(address.removeprefix("unix:"), _DECODER, self._receive, self._closed)
            from freehold.sdk.websocket import open_websocket

            return await open_websocket(address, self.target.token, self._receive_frame, self._closed_frame)
        except OSError as error:
            raise no_server(self.target, error) from error

    async def _reconnect(self) -> None:
        """Dial until somebody answers; then send again what has no answer yet."""
        lost, told = self._loop.time(), False
        for attempt in range(sys.maxsize):
            await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
            try:
                await self._connect()
                break
            except ConnectionError as error:
                silent = self._loop.time() - lost
                if silent > self._give_up_s or self._closing or error.code != ConnectionError.code:
                    raise
                if silent > _TELL_S and not told:
                    told = True
                    _log.warning("freehold: the server has left; calling it again for up to %g s", self._give_up_s)
        if told:
            _log.warning("freehold: the server is back; what has no answer yet is asked for again")
        self._outgoing = deque(m for m in self._outgoing if not isinstance(m, (Submit, Extend)))
        for exchange in [*self._exchanges.values(), *(e for w in self._watchers.values() for e in w)]:
            for message in exchange.again():
                self._send(message)
        self._pump()

    def _pump(self) -> None:
        self._scheduled = False
        if self._channel is None:
            return  # kept until there is a link again
        outgoing, last = self._outgoing, None
        while outgoing:
            message = outgoing.popleft()
            if type(message) is Extend and type(last) is Extend and last.call == message.call:
                last = Extend(last.call, last.inputs + message.inputs, message.more)
                continue
            if last is not None:
                self._send(last)
            last = message
        if last is not None:
            self._send(last)

    def _send(self, message: Frame) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def _receive_frame(self, body: bytes) -> None:
        self._receive(None, _DECODER.decode(body))

    def _receive(self, _link: "Link[ToClient] | None", messages: list[ToClient]) -> None:
        exchanges, watchers = self._exchanges, self._watchers
        for message in messages:
            kind = type(message)
            if kind is Output or kind is Item or kind is Accepted:
                exchange = exchanges.get(message.call)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
                if exchange is not None:
                    exchange.put(message)  # pyright: ignore[reportArgumentType]
                if watchers:
                    for watcher in watchers.get(message.call, ()):  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
                        watcher.put(message)  # pyright: ignore[reportArgumentType]
            elif isinstance(message, Refused):
                self._refused(message)
            elif isinstance(message, Room):
                if message.call in exchanges:
                    exchanges[message.call].hold(held=not message.open)
            elif isinstance(message, Welcome) and not self._welcomed.done():
                self._welcomed.set_result(message)

    def _refused(self, message: Refused) -> None:
        error = from_wire(message.code, message.message)
        if message.call:
            for exchange in (self._exchanges.get(message.call), *self._watchers.get(message.call, ())):
                if exchange is not None:
                    exchange.put(error)
        elif not self._welcomed.done():
            self._welcomed.set_exception(self._unwelcome(message, error))

    def _unwelcome(self, message: Refused, error: Error) -> Error:
        if isinstance(error, AuthError):
            return auth_error(self.target, message.message)
        return VersionError(message.message) if message.code == "failed_precondition" else error

    def _closed(self, _link: "Link[ToClient]", error: Exception | None) -> None:
        self._closed_frame(error)

    def _closed_frame(self, error: Exception | None) -> None:
        if not self._welcomed.done():
            self._welcomed.set_exception(no_server(self.target, error or "it hung up"))
        self._channel = None  # what is sent from here on waits for the next link
        self._lost.set()

    def _fail(self, error: Error) -> None:
        self.ready, self.dead = False, True
        exchanges = [*self._exchanges.values(), *(e for w in self._watchers.values() for e in w)]
        for exchange in exchanges:
            exchange.put(error)

    def _hang_up(self) -> None:
        self._pump()
        if self._channel is not None:
            self._channel.close()  # which tells `_keep`
        else:
            self._lost.set()


_current: Client | None = None
_creating = threading.Lock()


def current() -> Client:
    """The process's client, made on first use; not necessarily started."""
    refuse_in_plan("a server is asked")
    global _current  # noqa: PLW0603 (one client a process)
    client = _current
    if client is not None and not client.dead:
        return client
    with _creating:
        if _current is None or _current.dead:
            _current = Client(discover())
        return _current


def given(client: object) -> None:
    """Make a client that a program hands in the process's own; InvalidError for what is none."""
    if client is None or client is _current:
        return
    if not isinstance(client, Client):
        msg = f"client={client!r} is not a freehold.Client: give Client.from_env(), or leave it out"
        raise InvalidError(msg)
    use(client)


def use(client: Client | None) -> None:
    """Replace the process's client; for tests and for programs that talk to several servers."""
    global _current  # noqa: PLW0603 (as above)
    _current = client


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    open_standard_streams()
    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make()


def _after_fork() -> None:
    global _creating  # noqa: PLW0603 (the parent's thread may have held it)
    _creating = threading.Lock()
    use(None)


def _at_exit() -> None:
    if _current is not None and not _current.dead:
        _current.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
