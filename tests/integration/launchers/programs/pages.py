"""Web endpoints that the launcher's tests serve."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse


def item(x: int, q: str = "none"):
    print("serving", x)
    return {"x": x, "q": q}


async def create(body: dict):
    return {"got": body}


def app():
    web = FastAPI()

    @web.get("/hello")
    def hello():
        return "hi"

    @web.get("/stream")
    async def stream():
        async def parts():
            for n in range(3):
                yield f"part {n}\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(parts())

    @web.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        await socket.send_text("echo " + await socket.receive_text())
        await socket.close()

    return web


def wsgi():
    def plain(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"wsgi " + environ["PATH_INFO"].encode()]

    return plain


def no_database():
    @asynccontextmanager
    async def lifespan(_app):
        msg = "no database"
        raise RuntimeError(msg)
        yield

    return FastAPI(lifespan=lifespan)


def no_app():
    return 5


def server():
    subprocess.Popen([sys.executable, "-m", "http.server", "18734", "--bind", "127.0.0.1"])
