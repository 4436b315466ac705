"""A child process for the crash tests: writes calls, and prints each id once its write was acknowledged (or its error)."""

import asyncio
import os
import sys
from pathlib import Path

from freehold.core.errors import Error
from freehold.core.ids import new_id
from freehold.core.states import CallState
from freehold.server.store import rows as r
from freehold.server.store import writes as w
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
        try:
            await store.write(w.put_calls([call]), w.put_inputs([row]))
        except Error as error:
            os.write(1, f"error {type(error).__name__}: {error}\n".encode())
        else:
            os.write(1, f"ok {call.id}\n".encode())
        await asyncio.sleep(pause_s)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
