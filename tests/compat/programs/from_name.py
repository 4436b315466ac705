"""Deployed functions and classes, by name, version and id."""

import os

import modal

app = modal.App("compat-from-name", tags={"team": "ocr"})
TEXT = "deployed"


@app.function(timeout=77, cpu=0.25, memory=(128, 256))
def echo(x: str) -> str:
    print(f"echo says {x}")
    return f"{x} {TEXT} {os.environ.get('MODE')}"


@app.cls()
class Adder:
    start: int = modal.parameter(default=0)

    @modal.method()
    def add(self, x: int) -> int:
        return self.start + x


@app.function()
@modal.fastapi_endpoint()
def page() -> str:
    return "page"
