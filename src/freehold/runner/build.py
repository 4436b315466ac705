"""Runs the function of an image's `run_function` step, inside that image's environment.

    python -P -m freehold.runner.build JOB.json
"""

import asyncio
import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

from freehold.core.specs import FunctionSpec
from freehold.runner.load import find, prepare


def main() -> int:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    serialized = job.get("serialized")
    spec = FunctionSpec(
        name=job["qualname"], module=job.get("module") or "", qualname=job["qualname"],
        serialized=bytes.fromhex(serialized) if serialized else None,
    )  # fmt: skip
    os.environ["FREEHOLD_REMOTE"] = "1"
    prepare(job["root"])
    made = find(spec)(*job.get("args", ()), **job.get("kwargs", {}))
    if inspect.isawaitable(made):
        asyncio.run(_settled(made))
    return 0


async def _settled(value: Any) -> Any:
    return await value


if __name__ == "__main__":
    sys.exit(main())
