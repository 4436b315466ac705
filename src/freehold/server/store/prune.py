"""Forgetting old calls in steps that leave the writer free for others in between."""

from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads


async def forget_calls(store: Store, before: str, *, step: int = 2000) -> None:
    """Delete the final calls with ids below `before`, with their inputs and attempts, the oldest first."""
    reads, begin = Reads(store), ""
    while (bound := await reads.nth_call(begin, before, step)) is not None:
        await store.write(*writes.prune_calls(bound))
        begin = bound
    await store.write(*writes.prune_calls(before))
