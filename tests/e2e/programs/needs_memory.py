"""Wants more memory than any machine has."""

import freehold

app = freehold.App("e2e-needs-memory")


@app.function(memory=100_000_000)
def big():
    return 1
