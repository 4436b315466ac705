"""The calls that are not final, found by id, by idempotency key or by age without looking at all of them."""

from collections import deque
from collections.abc import Iterator

from freehold.server.dispatch.task import LiveCall


class Index:
    """`by_id` is everybody's to read; only `add` and `remove` change it."""

    def __init__(self) -> None:
        self.by_id: dict[str, LiveCall] = {}
        self._by_key: dict[tuple[str, str, str], LiveCall] = {}
        self._young: deque[tuple[float, LiveCall]] = deque()  # by when they came (monotonic)

    def add(self, call: LiveCall, now: float) -> None:
        self.by_id[call.id] = call
        if call.key:
            self._by_key.setdefault(_key(call), call)
        if not call.noted:
            self._young.append((now, call))

    def remove(self, call: LiveCall) -> None:
        if self.by_id.pop(call.id, None) is None:
            return
        for subscriber in call.subscribers:
            subscriber.calls.discard(call)
        if call.key and self._by_key.get(_key(call)) is call:
            del self._by_key[_key(call)]

    def keyed(self, workspace: str, function_id: str, key: str) -> LiveCall | None:
        """The call that has this idempotency key."""
        return self._by_key.get((workspace, function_id, key)) if key else None

    def grown(self, before: float) -> Iterator[LiveCall]:
        """Calls that came before then and are under way still; each once."""
        while self._young and self._young[0][0] < before:
            _, call = self._young.popleft()
            if self.by_id.get(call.id) is call and not call.done:
                yield call


def _key(call: LiveCall) -> tuple[str, str, str]:
    return call.workspace, call.function_id, call.key
