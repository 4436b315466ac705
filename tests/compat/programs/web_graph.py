"""Calls that web requests make, and the graphs of those."""

import modal

image = modal.Image.debian_slim().pip_install("fastapi")
app = modal.App("compat-web-graph", image=image)


@app.function()
def job(x: int) -> int:
    return x + 1


def told(call: modal.FunctionCall) -> dict:
    root = call.get_call_graph()[0]
    return {
        "root": [root.function_name, root.function_call_id, root.status.name, bool(root.task_id)],
        "children": [[c.function_name, c.function_call_id, c.status.name] for c in root.children],
    }


def spawned(x: int) -> dict:
    call = job.spawn(x)
    call.get()
    return {
        "own": modal.current_function_call_id(),
        "input": modal.current_input_id(),
        "call": call.object_id,
        **told(call),
    }


@app.function()
@modal.fastapi_endpoint()
def endpoint(x: int):
    return spawned(x)


@app.function()
@modal.asgi_app()
def asgi():
    from fastapi import FastAPI

    web = FastAPI()

    @web.get("/async")
    async def waits(x: int):
        call = await job.spawn.aio(x)
        await call.get.aio()
        return {"own": modal.current_function_call_id(), "call": call.object_id}

    @web.get("/result/{call}")
    def result(call: str):
        return told(modal.FunctionCall.from_id(call))

    return web


@app.function()
@modal.wsgi_app()
def wsgi():
    import json

    def serve(environ, start_response):
        start_response("200 OK", [("content-type", "application/json")])
        yield json.dumps(spawned(3)).encode()

    return serve
