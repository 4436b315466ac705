"""Runs the function of an image's `run_function` step, inside that image's environment.

    python -P -m freehold.runner.build JOB

JOB is JSON: {"root"} where the user's files lie, {"module", "qualname"} of the function or {"serialized"}, and {"call"} with its arguments.
"""

import asyncio
import base64
import inspect
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import msgspec

from freehold.protocol.frames import Payload
from freehold.runner.load import find_by_name, prepare
from freehold.sdk.serialization import Arguments, load_arguments
from freehold.sdk.tracebacks import user_traceback


def main() -> int:
    os.environ["FREEHOLD_REMOTE"] = "1"
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())
    prepare(job["root"])
    try:
        function = _function(job)
        args, kwargs = _arguments(job.get("call"))
        made = function(*args, **kwargs)
        if inspect.isawaitable(made):
            asyncio.run(_settled(made))
    except BaseException as error:  # noqa: BLE001 (the build's log gets the user's frames)
        if isinstance(error, SystemExit) and not error.code:
            return 0
        sys.stderr.write(user_traceback(error))
        return 1
    return 0


def _function(job: dict[str, Any]) -> Any:
    if job.get("serialized"):
        return pickle.loads(base64.b64decode(job["serialized"]))  # noqa: S301 (the user's own code, in the user's own image)
    return find_by_name(job["module"], job["qualname"])


def _arguments(call: str | None) -> Arguments:
    return load_arguments(msgspec.msgpack.decode(base64.b64decode(call), type=Payload)) if call else ((), {})


async def _settled(value: Any) -> Any:
    return await value


if __name__ == "__main__":
    sys.exit(main())
