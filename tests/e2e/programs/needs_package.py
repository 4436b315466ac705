"""Wants an apt package that is not on the host."""

import freehold

app = freehold.App("e2e-needs-package", image=freehold.Image.debian_slim().apt_install("no-such-package-anywhere"))


@app.function()
def f():
    return 1
