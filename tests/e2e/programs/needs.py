"""Functions that want what the machine lacks."""

import freehold

app = freehold.App("e2e-needs")


@app.function(gpu="H100:8")
def gpu():
    return 1
