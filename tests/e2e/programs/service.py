"""Web endpoints of each kind, a function to call by name, and what an instance writes."""

import asyncio

import freehold

app = freehold.App("e2e-service")


@app.function()
def add(a: int, b: int = 1) -> int:
    print(f"adding {a} and {b}")
    return a + b


@app.function()
@freehold.fastapi_endpoint(method="GET")
def greet(name: str = "world"):
    return {"hello": name}


@app.function()
@freehold.concurrent(max_inputs=10)
@freehold.asgi_app()
def web():
    from fastapi import FastAPI, WebSocket
    from fastapi.responses import StreamingResponse

    api = FastAPI()

    @api.get("/stream")
    async def stream():
        async def chunks():
            for i in range(5):
                yield f"chunk {i}\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(chunks(), media_type="text/plain")

    @api.post("/length")
    async def length(body: dict):
        return {"length": len(body["text"])}

    @api.websocket("/echo")
    async def echo(socket: WebSocket):
        await socket.accept()
        while True:
            await socket.send_text("echo " + await socket.receive_text())

    return api
