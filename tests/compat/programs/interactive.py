"""Functions that stop at a breakpoint, that ask a question, and a local entrypoint that does."""

# ruff: noqa: T100, ASYNC250

import modal

app = modal.App("compat-interactive")


@app.function()
def stops(x=20):
    y = x + 1
    breakpoint()
    return y * 2


@app.function()
def traces():
    import pdb

    secret = 7
    pdb.set_trace()
    return secret


@app.function()
def asks():
    modal.interact()
    name = input("who? ")
    print("hello", name)
    return len(name)


@app.function()
async def asks_async():
    await modal.interact.aio()
    return input("and you? ")


@app.function()
def reads():
    import sys

    return sys.stdin.read()


@app.local_entrypoint()
def local():
    z = 5
    breakpoint()
    print("after", z, stops.local is not None)
