"""Imports, only in instances, what is not there."""

import freehold

image = freehold.Image.debian_slim()
app = freehold.App("e2e-remote-missing", image=image)


@app.function()
def f():
    import no_such_module_anywhere

    return no_such_module_anywhere.x
