"""A child process for the crash tests: writes calls, and prints each id as soon as its write was acknowledged (or its error)."""

import asyncio
import os
import sys
from pathlib import Path

from freehold.core.ids import new_id
from freehold.core.states import CallState
from freehold.server.store import rows as r
from freehold.server.store import writes as w
from freehold.server.store.contract import Write
from freehold.server.store.sqlite import SqliteStore


async def main(database: Path, writers: int, calls: int, pause_s: float) -> None:
    store = SqliteStore(database)
    await store.open()
    os.write(1, b"open\n")
    await asyncio.gather(*[_write_calls(store, calls, pause_s) for _ in range(writers)])
    os.write(1, b"written\n")
    await store.close()
    os.write(1, b"closed\n")


async def _write_calls(store: SqliteStore, count: int, pause_s: float) -> None:
    for _ in range(count):
        call = r.CallRow(new_id("fc"), "main", "ap-1", "shop", "fu-1", "f", "remote", CallState.SUCCEEDED, 1.0)
        row = r.InputRow(call.id, 0, CallState.SUCCEEDED, 1, "", 1.0, args=os.urandom(300), result=call.id.encode())
        await _write(store, [w.put_calls([call]), w.put_inputs([row])], call.id)
        await asyncio.sleep(pause_s)


async def _write(store: SqliteStore, ops: list[Write], call: str) -> None:
    answered: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    acknowledged: list[str] = []

    def acknowledge() -> None:
        acknowledged.append(call)
        os.write(1, f"ok {call}\n".encode())

    store.write_then(ops, answered.set_result, alone=acknowledge)
    error = await answered
    if error is not None:
        assert not acknowledged
        os.write(1, f"error {type(error).__name__}: {error}\n".encode())
    elif not acknowledged:
        acknowledge()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
