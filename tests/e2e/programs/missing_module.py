"""Imports what is not there."""

import freehold
import no_such_module_anywhere

app = freehold.App("e2e-missing")


@app.function()
def f():
    return no_such_module_anywhere.x
