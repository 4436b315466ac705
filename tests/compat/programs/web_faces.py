"""Web endpoints of every kind, as programs use them."""

import subprocess
import sys

import modal
import modal.experimental

image = modal.Image.debian_slim().pip_install("fastapi")
app = modal.App("compat-faces", image=image)


@app.function()
@modal.fastapi_endpoint(method="POST", docs=True, label="compat-adds", custom_domains=["add.example.com"])
def add(a: int, b: int = 1):
    return {"sum": a + b, "url": add.get_web_url()}


@app.function()
@modal.web_endpoint(wait_for_response=False)
def old(name: str = "you"):
    return f"hello {name}"


@app.function()
@modal.concurrent(max_inputs=20)
@modal.asgi_app()
def api():
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.responses import StreamingResponse

    web = FastAPI()

    @web.get("/events")
    async def events():
        import asyncio

        async def stream():
            for n in range(3):
                yield f"data: {n}\n\n"
                await asyncio.sleep(0.3)

        return StreamingResponse(stream(), media_type="text/event-stream")

    @web.get("/big")
    def big():
        return StreamingResponse((b"x" * 1_000_000 for _ in range(40)), media_type="application/octet-stream")

    @web.post("/size")
    async def size(request: Request):
        return sum([len(part) async for part in request.stream()])

    @web.get("/where")
    def where(request: Request):
        return {"host": request.headers["host"], "link": str(request.url_for("where")), "modal": modal.is_local()}

    @web.websocket("/chat")
    async def chat(socket: WebSocket):
        await socket.accept()
        while (text := await socket.receive_text()) != "bye":
            await socket.send_text(text.upper())
        await socket.close(4000)

    return web


@app.function(timeout=2)
@modal.asgi_app()
def slow():
    """A stream may outlast the timeout; only its beginning may not."""
    import asyncio

    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    web = FastAPI()

    @web.get("/")
    async def drip():
        async def stream():
            for n in range(7):
                yield str(n)
                await asyncio.sleep(0.5)

        return StreamingResponse(stream())

    return web


@app.function()
@modal.wsgi_app()
def wsgi():
    def web(environ, start_response):
        start_response("200 OK", [("content-type", "text/plain")])
        yield f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode()

    return web


@app.function()
@modal.web_server(18_641, startup_timeout=20)
def files():
    subprocess.Popen([sys.executable, "-m", "http.server", "18641", "--directory", "/etc"])


@app.function()
@modal.fastapi_endpoint(requires_proxy_auth=True)
def locked():
    return "open"


@app.cls()
@modal.concurrent(max_inputs=10)
@modal.experimental.http_server(18_642, proxy_regions=["us-east"])
class Flash:
    @modal.enter()
    def enter(self):
        self.process = subprocess.Popen([sys.executable, "-m", "http.server", "18642", "--directory", "/etc"])

    @modal.exit()
    def leave(self):
        self.process.terminate()


@app.function()
def others() -> "list[str]":
    """Addresses as an instance sees them."""
    return [str(f.get_web_url()) for f in (add, api)] + Flash._experimental_get_flash_urls()
