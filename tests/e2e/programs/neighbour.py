"""An app that is deployed beside others, has a function of the same name as one of theirs, and results of any size."""

import freehold

app = freehold.App("e2e-neighbour")


@app.function()
def add(a: int, b: int = 1) -> str:
    return f"the neighbour's own, not {a + b}"


@app.function()
def ask() -> int:
    return freehold.Function.from_name("e2e-counted", "add").remote(4)


@app.function()
def large() -> dict[str, bytes]:
    return {"in the pickle": b"p" * 6_000_000, "beside it": bytearray(b"b" * 6_000_000)}
