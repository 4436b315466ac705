"""What is kept no longer: old calls, instances and events, folders of instances that are gone."""

import asyncio
import shutil
from collections.abc import Collection
from pathlib import Path

from freehold.core.clock import Clock
from freehold.core.home import Home
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.prune import forget_calls


def id_before(prefix: str, at: float) -> str:
    """The lowest id of its kind that was made at `at` or later; ids sort by time."""
    return f"{prefix}-{int(at * 1000):012x}"


async def prune(store: Store, clock: Clock, *, keep_s: float) -> None:
    """Forget what ended before the retention."""
    limit = clock.now() - keep_s
    await forget_calls(store, id_before("fc", limit))
    await store.write(
        writes.prune_instances(id_before("in", limit)),
        writes.prune_sandboxes(id_before("sb", limit)),
        writes.prune_events(id_before("ev", limit)),
    )


def drafts(home: Home) -> list[Path]:
    """Images and snapshots that a server was making when it was killed; none where another home's server may be making them."""
    if home.images.is_symlink():
        return []
    return [*home.images.glob(".build-*"), *home.images.glob(".snapshot-*")]


async def remove(folders: Collection[Path]) -> None:
    """Remove folders, however large, beside what goes on."""
    for folder in folders:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def sweep_instance_folders(home: Home, live: Collection[str]) -> None:
    """Remove folders of instances that are gone and whose output was collected (the collector removes that file)."""
    if not home.instances.is_dir():
        return
    for folder in home.instances.iterdir():
        if folder.name not in live and not (folder / "output").exists():
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
