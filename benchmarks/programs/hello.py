"""What `freehold run` is timed with: one function, one call."""

import freehold

app = freehold.App("bench-hello")


@app.function()
def square(x: int) -> int:
    return x * x


@app.local_entrypoint()
def main() -> None:
    print(square.remote(7))
