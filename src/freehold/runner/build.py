"""Runs the function of an image's `run_function` step, inside that image's environment.

    python -P -m freehold.runner.build JOB

JOB is a pickle of what to call, without arguments.
"""

import asyncio
import inspect
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from freehold.runner.load import prepare
from freehold.sdk.tracebacks import user_traceback


def main() -> int:
    os.environ["FREEHOLD_REMOTE"] = "1"
    prepare(str(Path.cwd()))
    try:
        made = pickle.loads(Path(sys.argv[1]).read_bytes())()  # noqa: S301 (the user's own code, in the user's own image)
        if inspect.isawaitable(made):
            asyncio.run(_settled(made))
    except Exception as error:  # noqa: BLE001 (the build's log gets the user's frames)
        sys.stderr.write(user_traceback(error))
        return 1
    return 0


async def _settled(value: Any) -> Any:
    return await value


if __name__ == "__main__":
    sys.exit(main())
