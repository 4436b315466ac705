"""Plain functions that make web apps, and run loops, threads and programs to do so."""

import asyncio
import threading
import time

import modal

app = modal.App("compat-factories")


async def fetch():
    await asyncio.sleep(0)
    return "fetched"


def count(ticks):
    while True:
        ticks.append(1)
        time.sleep(0.01)


@app.function()
@modal.asgi_app()
def asgi():
    from fastapi import FastAPI

    found, ticks, inside = asyncio.run(fetch()), [], modal.is_local()
    threading.Thread(target=count, args=(ticks,), daemon=True).start()
    web = FastAPI()

    @web.get("/")
    async def root():
        before = len(ticks)
        await asyncio.sleep(0.1)
        return [found, inside, len(ticks) > before]

    return web


@app.function()
@modal.asgi_app()
async def on_the_loop():
    from fastapi import FastAPI

    found = await fetch()
    web = FastAPI()

    @web.get("/")
    def root():
        return found

    return web


@app.function()
@modal.wsgi_app()
def wsgi():
    found = asyncio.run(fetch())

    def web(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [found.encode()]

    return web


@app.function()
@modal.web_server(18_651, startup_timeout=20)
def served():
    import subprocess
    import sys
    from pathlib import Path

    Path("/tmp/served").mkdir()
    Path("/tmp/served/index.html").write_text(asyncio.run(fetch()))
    subprocess.Popen([sys.executable, "-m", "http.server", "18651", "--directory", "/tmp/served"])
