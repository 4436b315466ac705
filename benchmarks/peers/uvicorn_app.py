"""Peer: the same endpoint in a bare FastAPI, served by uvicorn with uvloop and httptools."""

from importlib import import_module
from typing import Any

fastapi: Any = import_module("fastapi")
app: Any = fastapi.FastAPI()


async def noop() -> dict[str, bool]:
    return {"ok": True}


app.get("/")(noop)
