"""An app to be found by name."""

import freehold

app = freehold.App("e2e-counted")


@app.function()
def add(a: int, b: int = 1) -> int:
    return a + b


@app.cls()
class Scale:
    by: int = freehold.parameter(default=2)

    @freehold.method()
    def apply(self, n: int) -> int:
        return self.by * n
