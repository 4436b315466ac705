"""A child process for the kill tests: collects until it is told to drain (a line on stdin), then says so."""

import asyncio
import os
import sys
from pathlib import Path

from freehold.server.logs import Logs, LogSource


async def main(root: Path, instances: list[str]) -> None:
    logs = Logs(root / "logs", root / "instances", max_bytes=4 * 1024 * 1024, keep=1000)
    logs.start()
    for name in instances:
        logs.add(name, LogSource(app="shop", app_id="ap-1", function="price", type="training"))
    os.write(1, b"begun\n")
    await asyncio.to_thread(sys.stdin.readline)
    for name in instances:
        logs.ended(name)
    await logs.drained()
    await logs.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
