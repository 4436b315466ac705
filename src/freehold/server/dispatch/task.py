"""A call and its inputs while they are under way. Plain mutable records with one owner, the server's loop."""

from collections.abc import Iterable
from typing import Any, Protocol

from freehold.core.states import CALL, CallState, move
from freehold.protocol.frames import Payload
from freehold.server.store.rows import InputRow

DIED = "InstanceDiedError: "  # how the error of an attempt begins that its instance did not outlive


class Subscriber(Protocol):
    """Whoever wants a call's outputs: a client's link, or a waiter of the JSON face."""

    @property
    def name(self) -> str:
        """Calls of one name take turns as one with those of others."""
        ...

    @property
    def local(self) -> bool:
        """It can look into this machine's shared memory."""
        ...

    @property
    def calls(self) -> set["LiveCall"]:
        """What it hears of; kept by the dispatcher."""
        ...

    def send(self, message: Any) -> None: ...

    def send_now(self, message: Any) -> bool:
        """Send from any thread, if that can be done at once; else False."""
        ...


class Task:
    """One input of a call, with the attempt that counts now: a result of any other attempt is stale."""

    __slots__ = (
        "alone", "attempt", "call", "cancelling", "crashes", "created", "failures", "index",
        "instance", "items", "method", "payload", "sent", "started", "state",
    )  # fmt: skip

    def __init__(self, call: "LiveCall", index: int, method: str, payload: Payload, created: float) -> None:
        self.call, self.index, self.method, self.payload = call, index, method, payload
        self.created = created
        self.state = CallState.PENDING
        self.attempt = 1
        self.failures = 0  # attempts that user code failed
        self.crashes = 0  # attempts whose instance died
        self.instance: str | None = None
        self.sent = 0.0  # monotonic: when it went to its instance
        self.started: float | None = None  # epoch
        self.items = 0  # items of a generator that went out
        self.cancelling = False
        self.alone = False  # an instance died that held it: it is sent ahead to none, so that who is to blame is plain

    @property
    def key(self) -> tuple[str, int]:
        return (self.call.id, self.index)

    def move(self, state: CallState) -> None:
        self.state = move(CALL, self.state, state)


class LiveCall:
    """A call that is not final yet, or whose end is not committed yet."""

    __slots__ = (
        "app_id", "app_name", "client", "created", "digest", "ended", "error", "failed", "function_id", "function_name", "id", "key", "kind", "last_index", "more",
        "noted", "parameters", "parent", "parent_index", "persisted", "pool", "result_state", "started", "subscribers", "succeeded", "tasks", "total",
        "uncommitted", "variant", "version", "workspace",
    )  # fmt: skip

    def __init__(self, call_id: str, kind: str, *, workspace: str, created: float) -> None:
        self.id, self.kind, self.workspace, self.created = call_id, kind, workspace, created
        self.app_id = self.app_name = self.function_id = self.function_name = ""
        self.version = 0
        self.pool: Any = None
        self.parent = self.key = self.variant = ""
        self.parent_index = 0
        self.client = ""  # the name of who made it; "" after a restart
        self.parameters = self.digest = b""
        self.more = False
        self.last_index = -1  # the highest that came in
        self.noted = False  # has a row
        self.persisted = False  # its row and its inputs are in the store, so that it survives the server
        self.tasks: dict[int, Task] = {}  # inputs that are not final
        self.total = self.succeeded = self.failed = 0
        self.result_state: CallState | None = None  # worst final state of an input
        self.error: str | None = None
        self.started: float | None = None
        self.ended: float | None = None
        self.uncommitted = 0  # finished inputs whose commit has not come back
        self.subscribers: list[Subscriber] = []

    def heard_by(self, subscriber: Subscriber) -> None:
        """Tell one more of its outputs."""
        if subscriber not in self.subscribers:
            self.subscribers.append(subscriber)
            subscriber.calls.add(self)

    def tell(self, message: Any) -> None:
        for subscriber in self.subscribers:
            subscriber.send(message)

    @property
    def done(self) -> bool:
        return not self.tasks and not self.more

    @property
    def state(self) -> CallState:
        if self.done:
            return self.result_state or CallState.SUCCEEDED
        return CallState.PENDING if self.started is None else CallState.RUNNING

    def take_past(self, outcomes: Iterable[InputRow]) -> None:
        """Count inputs that became final under an earlier server."""
        for row in outcomes:
            self.total += 1
            self.note_end(row.state, row.error)

    def note_end(self, state: CallState, error: str | None) -> None:
        """Count one input that became final; a failure outweighs a success, the first failure names the call's error."""
        if state is CallState.SUCCEEDED:
            self.succeeded += 1
            return
        self.failed += 1
        self.result_state = self.result_state or state
        self.error = self.error or error
