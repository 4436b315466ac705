"""A web endpoint that does nothing."""

import freehold

app = freehold.App("bench-web")


@app.function(min_containers=1, max_containers=1, scaledown_window=600)
@freehold.concurrent(max_inputs=100)
@freehold.fastapi_endpoint()
async def noop() -> dict[str, bool]:
    return {"ok": True}
