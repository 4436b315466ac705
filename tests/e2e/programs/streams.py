"""Answers that never end by themselves, and a server on a port of its own. What runs appends to a file, tick by tick."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import freehold

app = freehold.App("streams")
ticks = freehold.Volume.from_name("ticks", create_if_missing=True)
PORT = int(os.environ.get("STREAMS_PORT", "18999"))
SERVER = f"""
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = os.environ["STREAMS_VERSION"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", {PORT}), Handler).serve_forever()
"""


def tick(name: str) -> None:
    with Path(f"/ticks/{name}").open("a") as file:
        file.write(f"{time.time()}\n")


@app.function(volumes={"/ticks": ticks}, max_containers=1)
@freehold.concurrent(max_inputs=2)
@freehold.asgi_app()
def endless():
    from fastapi import FastAPI, WebSocket
    from fastapi.responses import StreamingResponse

    api = FastAPI()

    @api.get("/async")
    async def stream():
        async def parts():
            while True:
                tick("async")
                yield b"x"
                await asyncio.sleep(0.02)

        return StreamingResponse(parts())

    @api.get("/sync")
    def blocking():
        def parts():
            while True:
                tick("sync")
                yield b"x"
                time.sleep(0.02)

        return StreamingResponse(parts())

    @api.get("/silent")
    async def silent():
        while True:
            tick("silent")
            await asyncio.sleep(0.02)

    @api.websocket("/socket")
    async def socket(socket: WebSocket):
        await socket.accept()
        while True:
            tick("socket")
            await socket.send_text("x")
            await asyncio.sleep(0.02)

    return api


@app.function(volumes={"/ticks": ticks}, max_containers=1)
@freehold.wsgi_app()
def wsgi():
    def serve(_environ, start_response):
        start_response("200 OK", [("content-type", "text/plain")])
        while True:
            tick("wsgi")
            yield b"x"
            time.sleep(0.02)

    return serve


@app.function(env={"STREAMS_VERSION": os.environ.get("STREAMS_VERSION", "0"), "STREAMS_PORT": str(PORT)})
@freehold.concurrent(max_inputs=10)
@freehold.web_server(PORT)
def own():
    subprocess.Popen([sys.executable, "-c", SERVER])
