"""FunctionCall: a call that was spawned, by id; its result can be had later, and from another process."""

import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from freehold.core.errors import InvalidError, TimeoutError
from freehold.core.ids import is_id
from freehold.protocol import schemas
from freehold.protocol.frames import Output
from freehold.sdk import client as clients
from freehold.sdk.client import Client
from freehold.sdk.exchange import Exchange
from freehold.sdk.faces import blocking, both, both_items, both_static
from freehold.sdk.http import segment
from freehold.sdk.logs import Logs
from freehold.sdk.outcome import ready_client, value_of
from freehold.sdk.tracebacks import warn

if TYPE_CHECKING:
    from freehold.sdk.types import InputInfo


R = TypeVar("R")
_WINDOW = 200  # of outcomes that are asked for at once
_SETTLE_S = 5.0  # how long a result that is known to exist may take to reach us


class FunctionCall(Generic[R]):
    """A handle to one call. Results stay readable until the server expires them."""

    def __init__(self, call: str) -> None:
        self.object_id = call
        self._outputs: dict[int, Output] = {}

    def __repr__(self) -> str:
        return f"FunctionCall({self.object_id!r})"

    @both_static
    @staticmethod
    async def from_id(function_call_id: str, client: object = None) -> "FunctionCall[Any]":
        """The call with this id; nothing is asked of the server until its result is."""
        del client  # one a process
        call_id = function_call_id
        if not is_id(call_id, "fc"):
            msg = f"{call_id!r} is not the id of a call: those begin with 'fc-'"
            raise InvalidError(msg)
        return FunctionCall(call_id)

    @both
    async def get(self, timeout: float | None = None, *, index: int = 0) -> R:  # noqa: ASYNC109 (Modal's name)
        """Wait for the result. Raises what the function raised, and TimeoutError when it has not ended in `timeout` seconds."""
        client = await ready_client()
        if index not in self._outputs:
            if index != 0:
                self._check_index(index, await blocking(self._count))
            output = await self._wait(client, timeout, index)
            self._outputs[index] = msgspec.structs.replace(output, payload=client.kept(output.payload))
        return value_of(self._outputs[index], client)

    @both_items
    async def iter(self, *, start: int = 0, end: int | None = None) -> AsyncGenerator[Any, None]:
        """The results of the call's inputs from `start` to below `end`, in order; raises the first failure among them."""
        client = await ready_client()
        count = await blocking(self._count)
        end = count if end is None else end
        if not 0 <= start <= end <= count:
            msg = f"start={start} and end={end} are no range of the {count} inputs of call {self.object_id}"
            raise InvalidError(msg)
        for first in range(start, end, _WINDOW):
            async for output in self._range(client, first, min(first + _WINDOW, end)):
                yield value_of(output, client)

    @both
    async def cancel(self, terminate_containers: bool = False) -> None:
        """Stop it; `get` then raises CancelledError. `terminate_containers` kills the instance that runs it."""
        path = f"/v1/calls/{segment(self.object_id)}/cancel"
        await blocking(clients.current().api.act, "POST", f"{path}?terminate=true" if terminate_containers else path)

    @both
    async def num_inputs(self) -> int:
        """How many inputs it has: one, or those of a map."""
        return await blocking(self._count)

    @both
    async def get_call_graph(self) -> "list[InputInfo]":
        """The inputs at the top of the graph that this call is part of; `children` are those that an input's code made."""
        path = f"/v1/calls/{segment(self.object_id)}/graph"
        graph = await blocking(lambda: clients.current().api.get(path, schemas.CallGraph))
        if graph.truncated:
            warn(f"the graph of call {self.object_id} is large: these are its first {len(graph.inputs)} inputs")
        from freehold.sdk import facts

        return facts.call_tree(graph)

    @both
    async def get_dashboard_url(self) -> str:
        from freehold.sdk import facts

        return await blocking(facts.page, f"/calls/{self.object_id}")

    @property
    def logs(self) -> Logs:
        """What was written while it ran."""
        return Logs(lambda: ({"call": self.object_id}, self.object_id))

    @both
    async def hydrate(self, client: object = None) -> "FunctionCall[R]":
        """Ask the server now whether it is there; raises NotFoundError."""
        del client  # one a process
        await blocking(self._detail)
        return self

    @staticmethod
    @both_static
    async def gather(*calls: "FunctionCall[Any]") -> list[Any]:
        """The results of several calls, in their order; raises the first failure among them."""
        for call in calls:
            if not isinstance(call, FunctionCall):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass a list)
                msg = f"gather takes calls one by one, not a {type(call).__qualname__!r}: write FunctionCall.gather(*calls)"
                raise InvalidError(msg)
        return [await _result(call) for call in calls]

    async def _wait(self, client: Client, timeout_s: float | None, index: int) -> Output:
        exchange = Exchange(self.object_id)
        exchange.wanted = (index, -1)
        client.watch(exchange)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while True:
                try:
                    left = None if deadline is None else deadline - time.monotonic()
                    answer = await exchange.take(left)
                except TimeoutError:
                    if not await blocking(self._has_ended):
                        msg = f"call {self.object_id} has not ended within {timeout_s:g} s"
                        raise TimeoutError(msg) from None
                    deadline = time.monotonic() + _SETTLE_S
                    continue
                if isinstance(answer, Output) and answer.index == index:
                    return answer
        finally:
            client.forget(exchange)

    async def _range(self, client: Client, first: int, until: int) -> AsyncGenerator[Output, None]:
        """Outcomes in order; those that come before their turn wait here, no more than a window of them."""
        exchange, early = Exchange(self.object_id), dict[int, Output]()
        exchange.wanted = (first, until)
        client.watch(exchange)
        try:
            for index in range(first, until):
                while index not in early:
                    answer = await exchange.take()
                    if isinstance(answer, Output) and index <= answer.index < until:
                        early[answer.index] = answer
                yield early.pop(index)
        finally:
            client.forget(exchange)

    def _check_index(self, index: int, count: int) -> None:
        if not 0 <= index < count:
            msg = f"index={index} is none of the {count} inputs of call {self.object_id}: they are counted from 0"
            raise InvalidError(msg)

    def _count(self) -> int:
        return self._detail().call.inputs

    def _has_ended(self) -> bool:
        return self._detail().call.state.final

    def _detail(self) -> "schemas.CallDetail":
        return clients.current().api.get(f"/v1/calls/{segment(self.object_id)}", schemas.CallDetail)

    def __reduce__(self) -> tuple[object, ...]:
        return FunctionCall, (self.object_id,)


async def _result(call: FunctionCall[R]) -> R:
    client = await ready_client()
    return value_of(await call._wait(client, None, 0), client)
