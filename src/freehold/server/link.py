"""The server's end of links: who dials in, what they may send, and to whom it goes."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from freehold.core.clock import Clock
from freehold.core.errors import Error
from freehold.core.home import Home
from freehold.core.ids import is_id
from freehold.protocol.arena import sweep
from freehold.protocol.frames import (
    Accepted,
    Beat,
    Cancel,
    Consumed,
    Extend,
    FromPeer,
    Hello,
    Item,
    Join,
    Ready,
    Refused,
    Release,
    Result,
    Returned,
    StartFailed,
    Submit,
    Subscribe,
    Welcome,
)  # fmt: skip
from freehold.protocol.link import Link
from freehold.protocol.version import PROTOCOL_VERSION
from freehold.server.dispatch.dispatcher import Dispatcher
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.record import Past, Record
from freehold.server.dispatch.task import LiveCall
from freehold.server.store.rows import CallRow

log = logging.getLogger("freehold.link")
PeerLink = Link[FromPeer]
_HELLO_TIMEOUT_S = 10.0
_MOST_UNDER_WAY = 100
_MEMORY_GRACE_S = 120.0  # longer than clients try to come back
P = TypeVar("P")


class Client:
    """A client behind a link: a subscriber of its calls' outputs."""

    def __init__(self, link: PeerLink, *, workspace: str, name: str) -> None:
        self.link, self.workspace, self.name = link, workspace, name
        self.calls: set[LiveCall] = set()
        self.local = link.local
        self.send, self.send_now = link.send, link.send_now
        self.coming_back: dict[str, list[Extend]] = {}  # calls that are sent again, and what came of them since
        self.under_way = 0  # of its messages that take more than a turn of the loop


class Alias:
    """A subscriber that knows a call under another id: a second submission with the same idempotency key."""

    def __init__(self, client: Client, call: str) -> None:
        self._client, self._call = client, call
        self.name, self.local, self.calls = client.name, client.local, client.calls

    def send(self, message: Any) -> None:
        self._client.send(msgspec.structs.replace(message, call=self._call))

    def send_now(self, message: Any) -> bool:
        return self._client.send_now(msgspec.structs.replace(message, call=self._call))


class Links:
    """Every open link."""

    def __init__(
        self, *, dispatcher: Dispatcher, fleet: Fleet, record: Record, clock: Clock, token: str, welcome: Welcome
    ) -> None:
        self.clients: dict[Client, None] = {}
        self.client_seen: Callable[[str], None] = lambda _name: None
        self.environment: Callable[[str, str], str] = lambda workspace, _name: workspace  # the workspace of one
        self.decoder = msgspec.msgpack.Decoder(list[FromPeer])
        self._dispatcher, self._fleet, self._record, self._clock = dispatcher, fleet, record, clock
        self._token, self._welcome = token, welcome
        self._server: asyncio.Server | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self._for_client: dict[type, Callable[[Client, Any], None]] = {
            Submit: self._submit,
            Extend: self._extend,
            Cancel: self._cancel,
            Subscribe: self._subscribe,
            Release: self._release,
            Consumed: self._consumed,
        }
        self._for_instance: dict[type, Callable[[Instance, Any], None]] = {
            Result: self._dispatcher.result,
            Item: self._dispatcher.item,
            Returned: self._dispatcher.returned,
            Beat: lambda i, _: self._fleet.beat(i),
            Ready: self._fleet.ready,
            StartFailed: self._fleet.start_failed,
        }

    # ---- connections

    async def bind(self, home: Home) -> None:
        """Make the home's link socket, for this user only; who dials it is refused until `serve`."""
        home.link_socket.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            self.accept, str(home.link_socket), backlog=1024, start_serving=False
        )
        home.link_socket.chmod(0o600)

    async def serve(self) -> None:
        """Let clients and instances in."""
        assert self._server is not None
        await self._server.start_serving()

    def accept(self, *, local: bool = True) -> PeerLink:
        """Make the link of one new connection; it must introduce itself soon."""
        link: PeerLink = Link(self.decoder, self.received, self.closed)
        link.local, link.known = local, False
        asyncio.get_running_loop().call_later(_HELLO_TIMEOUT_S, lambda: link.peer is None and link.abort())
        return link

    def received(self, link: PeerLink, messages: list[FromPeer]) -> None:
        """Route one frame's messages."""
        for message in messages:
            peer = link.peer
            if isinstance(peer, Client):
                handled = _handle(self._for_client, peer, message)
            elif isinstance(peer, Instance):
                peer.last_beat = self._clock.monotonic()
                handled = _handle(self._for_instance, peer, message)
            else:
                self._introduce(link, message)
                handled = True
            if not handled:
                self._refuse(link, "invalid_argument", f"{type(message).__name__} is not for this side to send")
                return

    def closed(self, link: PeerLink, error: Exception | None) -> None:
        if error is not None:
            log.warning("link_broke", extra={"error.type": type(error).__name__, "detail": str(error)})
        peer = link.peer
        if isinstance(peer, Client):
            self.clients.pop(peer, None)
            self._dispatcher.dropped(peer)
            self.client_seen(peer.name)
            asyncio.get_running_loop().call_later(_MEMORY_GRACE_S, self._sweep, peer.name)
        elif isinstance(peer, Instance) and peer.link is link:
            self._fleet.link_lost(peer)

    def _sweep(self, name: str) -> None:
        """Free what a client that did not come back left in shared memory."""
        owner = name.rpartition(" ")[2]
        if is_id(owner, "cl") and all(c.name != name for c in self.clients):
            sweep(self._welcome.arena, owner)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            client.link.close()

    # ---- introductions

    def _introduce(self, link: PeerLink, message: FromPeer) -> None:
        if not isinstance(message, Hello | Join):
            self._refuse(link, "unauthenticated", "the first message must be Hello or Join")
        elif message.protocol != PROTOCOL_VERSION:
            text = (
                f"this client speaks protocol {message.protocol} and the server speaks {PROTOCOL_VERSION}: install the same version of "
                f"freehold on both sides, and restart the server with `freehold down` and `freehold up --detach`"
            )
            self._refuse(link, "failed_precondition", text)
        elif isinstance(message, Join):
            self._join(link, message)
        else:
            self._hello(link, message)

    def _hello(self, link: PeerLink, message: Hello) -> None:
        if not self.knows(message.token):
            self._refuse(
                link,
                "unauthenticated",
                "the token is not this server's; take it from the `token` file in its home, or set FREEHOLD_TOKEN",
            )
            return
        workspace = self._workspace(message.token)
        try:
            workspace = self.environment(workspace, message.environment) if message.environment else workspace
        except Error as error:
            self._refuse(link, error.code, str(error))
            return
        link.known = True
        client = link.peer = Client(link, workspace=workspace, name=message.client)
        self.clients[client] = None
        self.client_seen(client.name)
        link.send(self._welcome if link.local else msgspec.structs.replace(self._welcome, arena=""))

    def _join(self, link: PeerLink, message: Join) -> None:
        instance = self._fleet.by_token.get(message.token)
        if instance is None or instance.id != message.instance or not instance.state.live:
            self._refuse(link, "unauthenticated", "no such instance is awaited")
            return
        link.peer, link.known = instance, True
        self._fleet.joined(instance, link, message.pid)

    def knows(self, token: str) -> bool:
        """Tell whether this is the platform's token or that of a live instance."""
        return hmac.compare_digest(token.encode(), self._token.encode()) or token in self._fleet.by_token

    def _workspace(self, token: str) -> str:
        instance = self._fleet.by_token.get(token)
        return "main" if instance is None else instance.pool.workspace

    def _refuse(self, link: PeerLink, code: str, message: str) -> None:
        link.send(Refused("", code, message))
        link.close()

    # ---- clients' messages

    def _submit(self, client: Client, message: Submit) -> None:
        if message.again or message.key:
            client.coming_back[message.call] = []
            self._spawn(client, self._come_back(client, message))
        else:
            self._dispatcher.submit(client, message, workspace=client.workspace)

    def _extend(self, client: Client, message: Extend) -> None:
        later = client.coming_back.get(message.call)
        if later is not None:
            later.append(message)
        elif not self._dispatcher.extend(message, workspace=client.workspace):
            text = f"call {message.call!r} takes no more inputs: it was cancelled, or its app was stopped"
            client.send(Refused(message.call, "failed_precondition", text))

    async def _come_back(self, client: Client, message: Submit) -> None:
        """Take a call again, then what was sent of it meanwhile."""
        try:
            await self._submit_again(client, message)
        finally:
            for later in client.coming_back.pop(message.call, ()):
                self._extend(client, later)

    async def _submit_again(self, client: Client, message: Submit) -> None:
        """A call that may have been here before: answer what is recorded of it, admit the rest."""
        async with self._record.turn(client.workspace, message.function, message.key or message.call):
            live = self._watch(client, message)  # first, so that it misses nothing that ends while we read
            if live is not None and live.id != message.call:
                return
            known = await self._record.find(client.workspace, message.call, message.function, message.key)
            past = Past([], set())
            if known is not None:
                if known.kind == "spawn":
                    client.send(Accepted(message.call, known.inputs))
                wanted = [i.index for i in message.inputs]
                past = await self._record.replay(client, message.call, known, wanted, rerun=live is None)
            final = known is not None and known.state.final
            if known is not None and _comes_too_late(message, known, live):
                text = f"call {message.call!r} has ended without its last inputs: it was cancelled, or waited too long for them"
                client.send(Refused(message.call, "failed_precondition", text))
                return
            if (final and not past.gone) or (live is not None and live.done):
                return
            done = {row.idx for row in past.outcomes}
            rest = [i for i in message.inputs if (i.index in past.gone if final else i.index not in done)]
            again = msgspec.structs.replace(message, inputs=rest)
            self._dispatcher.submit(client, again, workspace=client.workspace, past=past.outcomes)

    def _watch(self, client: Client, message: Submit) -> LiveCall | None:
        """Listen to a call under way that has this id or idempotency key."""
        call = self._dispatcher.calls.get(message.call)
        if call is not None and call.workspace == client.workspace:
            self._dispatcher.watch(call, client)
            return call
        call = self._dispatcher.keyed(client.workspace, message.function, message.key)
        if call is not None:
            self._dispatcher.watch(call, Alias(client, message.call))
        return call

    def _cancel(self, client: Client, message: Cancel) -> None:
        call = self._dispatcher.calls.get(message.call)
        if call is not None and call.workspace == client.workspace:
            self._dispatcher.cancel(message.call, terminate=message.terminate)

    def _subscribe(self, client: Client, message: Subscribe) -> None:
        call = self._dispatcher.calls.get(message.call)
        ours = call is not None and call.workspace == client.workspace
        if call is not None and ours:
            call.heard_by(client)
        self._spawn(client, self._record.subscribe(client, client.workspace, message, live=ours))

    def _release(self, client: Client, message: Release) -> None:
        by_owner: dict[str, list[str]] = {}
        for segment in message.segments:
            by_owner.setdefault(segment.partition(".")[0], []).append(segment)
        for owner, segments in by_owner.items():
            instance = self._fleet.instances.get(owner)
            if instance is not None and instance.link is not None and instance.pool.workspace == client.workspace:
                instance.link.send(Release(segments))

    def _consumed(self, client: Client, message: Consumed) -> None:
        call = self._dispatcher.calls.get(message.call)
        if call is None or call.workspace != client.workspace or call.kind != "generator":
            return
        for task in call.tasks.values():
            instance = self._fleet.instances.get(task.instance or "")
            if instance is not None and instance.link is not None:
                instance.link.send(message)

    def _spawn(self, client: Client, work: Awaitable[None]) -> None:
        """Do what takes its time; a client that asks for more than we get done is read no further meanwhile."""
        task = asyncio.ensure_future(work)
        self._pending.add(task)  # type: ignore[arg-type]
        client.under_way += 1
        if client.under_way == _MOST_UNDER_WAY:
            client.link.hold()
        task.add_done_callback(lambda done: self._worked(client, done))  # type: ignore[arg-type]

    def _worked(self, client: Client, task: "asyncio.Task[None]") -> None:
        self._pending.discard(task)
        client.under_way -= 1
        if client.under_way == _MOST_UNDER_WAY // 2:
            client.link.go_on()


def _comes_too_late(message: Submit, known: CallRow, live: LiveCall | None) -> bool:
    """Whether a spawned call ended before all of these inputs were taken."""
    over = known.state.final or (live is not None and live.done)
    count = known.inputs if live is None else live.last_index + 1
    return over and known.kind == "spawn" and any(i.index >= count for i in message.inputs)


def _handle(handlers: dict[type, Callable[[P, Any], None]], peer: P, message: FromPeer) -> bool:
    handler = handlers.get(type(message))
    if handler is None:
        return False
    handler(peer, message)
    return True
