"""What a client knows of one call it made or watches: the frames to send again when the link breaks, and what came back."""

from collections import deque
from time import monotonic
from typing import Literal, NamedTuple

from freehold.core.errors import DataLossError, TimeoutError
from freehold.protocol.frames import Accepted, Extend, Frame, Input, Item, Output, Submit, Subscribe
from freehold.protocol.payload import payload_bytes
from freehold.sdk.carrier import Shared
from freehold.sdk.faces import Gate, pause

Kind = Literal["remote", "spawn", "map", "generator"]


class Fed(NamedTuple):
    """A map's own mark: all of its inputs are sent."""

    total: int


Answer = Output | Item | Accepted | Fed


class Exchange:
    """The link's thread puts answers in; one user thread or task takes them out."""

    __slots__ = (
        "_accepted", "_answered_bytes", "_gate", "_inbox", "_next_item", "_sent_bytes", "call", "done", "held", "room", "shared",
        "submit", "unanswered", "wanted",
    )  # fmt: skip

    def __init__(self, call: str = "", submit: Submit | None = None) -> None:
        self.call = submit.call if submit else call
        self.submit = submit  # None: somebody else's call, which we watch
        self.unanswered: dict[int, Input] = {i.index: i for i in submit.inputs} if submit else {}
        self.shared: Shared | None = None
        self.wanted: tuple[int, int] = (-1, -1)  # of a watch: which inputs' outcomes, as `Subscribe` has them
        self._accepted = False
        self.done = False  # a map whose inputs have all been sent
        self.held = False  # a map of which the server wants no more inputs for now
        self.room: Gate | None = None  # opened when it wants more again
        self._sent_bytes = self._answered_bytes = 0  # of a map's later inputs; each is one thread's
        self._inbox: deque[Answer | BaseException] = deque()
        self._gate = Gate()
        self._next_item = 0

    # ---- the link's thread

    def put(self, answer: Answer | BaseException) -> None:
        if type(answer) is Output:
            answered = self.unanswered.pop(answer.index, None)
            if answered is None and self.submit is not None:
                return  # told twice, since it was asked for again
            if answered is not None and answered.payload.buffers and self.shared is not None:
                self.shared.answered((answered,), answer.keep)
            if answered is not None:
                self._answered_bytes += payload_bytes(answered.payload)
        elif type(answer) is Item:
            if answer.sequence < self._next_item:
                return  # a later attempt repeats what an earlier one gave
            if answer.sequence > self._next_item and self.submit is not None:
                text = f"items of call {self.call} were lost while the link to the server was broken; call it again"
                self._inbox.append(DataLossError(text))
            self._next_item = answer.sequence + 1
        elif type(answer) is Accepted:
            self._accepted = True
            if self.submit is not None and self.submit.kind == "spawn":
                for index in [i for i in self.unanswered if i < answer.inputs]:
                    del self.unanswered[index]
        self._inbox.append(answer)
        self._gate.open()

    def hold(self, *, held: bool) -> None:
        """The server wants no more inputs for now, or wants them again."""
        self.held = held
        if not held and self.room is not None:
            self.room.open()

    def again(self) -> list[Frame]:
        """What to send on a new link so that nothing is lost; the server knows each input by call and index."""
        self.hold(held=False)  # it may be another server; else it says so again
        submit = self.submit
        if submit is None:
            return [Subscribe(self.call, *self.wanted)]
        if submit.kind == "spawn" and self._accepted and not self.unanswered:
            return []
        inputs = list(self.unanswered.values())
        return [
            Submit(
                call=submit.call, function=submit.function, kind=submit.kind, inputs=inputs,
                more=submit.more and not self.done, parameters=submit.parameters, parent=submit.parent,
                again=True, key=submit.key, variant=submit.variant, parent_index=submit.parent_index,
            )
        ]  # fmt: skip

    # ---- the user's side

    @property
    def ready(self) -> bool:
        """Something is there to be taken without waiting."""
        return bool(self._inbox)

    @property
    def unanswered_bytes(self) -> int:
        """Size of a map's inputs that were sent and have no answer."""
        return self._sent_bytes - self._answered_bytes

    def extend(self, item: Input, *, more: bool) -> Extend:
        self._sent_bytes += payload_bytes(item.payload)
        self.unanswered[item.index] = item
        return Extend(self.call, [item], more)

    def extend_all(self, items: list[Input], *, more: bool) -> Extend:
        """Several inputs of a map that is spawned; without `more`, its last."""
        self.unanswered |= {i.index: i for i in items}
        self.done = not more
        return Extend(self.call, items, more)

    def extend_none(self) -> Extend:
        """No more inputs come."""
        return Extend(self.call, [], False)

    async def take(self, timeout_s: float | None = None) -> Answer:
        """A core: the next answer; raises what the link or the server reported, and TimeoutError when none came in time."""
        inbox = self._inbox
        if timeout_s is None:
            while not inbox:
                await self._gate
        elif not inbox:
            await self._wait(timeout_s)
        answer = inbox.popleft()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def leave(self) -> None:
        """Nobody looks any longer: give up the shared memory of inputs that may still run, and of results not taken."""
        if self.shared is None:
            return
        for one in self.unanswered.values():
            self.shared.answered((one,), [b.segment for b in one.payload.buffers])
        for answer in self._inbox:
            if isinstance(answer, (Output, Item)):
                self.shared.unseen(answer.payload)

    async def _wait(self, timeout_s: float) -> None:

        deadline = monotonic() + timeout_s
        while not self._inbox:
            left = deadline - monotonic()
            if left <= 0:
                msg = f"call {self.call} has not ended within {timeout_s:g} s"
                raise TimeoutError(msg)
            await pause(self._gate.within(left))
