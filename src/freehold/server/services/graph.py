"""Which input made which call: the graph that a call is part of, from its root down."""

from collections import deque
from typing import Protocol

import msgspec

from freehold.core.errors import NotFoundError
from freehold.core.specs import FunctionSpec
from freehold.protocol.schemas import CallDetail, CallGraph, CallView, GraphInput
from freehold.server.dispatch.registry import Registry
from freehold.server.store.reads import Reads
from freehold.server.store.rows import CallFilter

MOST_INPUTS = 2000
_DEEPEST = 100
_CHILDREN = 1000


class Calls(Protocol):
    async def get(self, workspace: str, call_id: str) -> CallDetail: ...
    async def list(self, workspace: str, which: CallFilter) -> list[CallView]: ...


class Graphs:
    """Reads graphs of calls, those under way and those that ended."""

    def __init__(self, calls: Calls, registry: Registry, reads: Reads) -> None:
        self._calls, self._registry, self._reads = calls, registry, reads

    async def of(self, workspace: str, call_id: str) -> CallGraph:
        """Raises NotFoundError for a call that is not there; what is kept no longer is left out."""
        found: list[GraphInput] = []
        modules: dict[str, str] = {}
        waiting = deque([await self._root(workspace, call_id)])
        while waiting and len(found) < MOST_INPUTS:
            detail = await self._calls.get(workspace, waiting.popleft())
            call = detail.call
            if call.function_id not in modules:
                modules[call.function_id] = await self._module(workspace, call.function_id)
            found += _inputs(detail, modules[call.function_id])
            children = await self._calls.list(workspace, CallFilter(parent=call.id, limit=_CHILDREN))
            waiting.extend(child.id for child in reversed(children))
        return CallGraph(inputs=tuple(found[:MOST_INPUTS]), truncated=bool(waiting) or len(found) > MOST_INPUTS)

    async def _root(self, workspace: str, call_id: str) -> str:
        call = (await self._calls.get(workspace, call_id)).call
        for _ in range(_DEEPEST):
            try:
                call = (await self._calls.get(workspace, call.parent)).call if call.parent else call
            except NotFoundError:  # kept no longer
                break
        return call.id

    async def _module(self, workspace: str, function_id: str) -> str:
        live = self._registry.functions.get(function_id)
        if live is not None:
            return live.spec.module
        row = await self._reads.function(workspace, function_id)
        return msgspec.json.decode(row.spec, type=FunctionSpec).module if row is not None else ""


def _inputs(detail: CallDetail, module: str) -> list[GraphInput]:
    call = detail.call
    return [
        GraphInput(
            call=call.id, index=i.index, instance=i.instance, state=i.state, function=call.function, module=module,
            parent=call.parent, parent_index=call.parent_index or 0,
        )
        for i in detail.inputs
    ]  # fmt: skip
