"""Imports what is not there."""

import no_such_module_anywhere

import freehold

app = freehold.App("e2e-missing")


@app.function()
def f():
    return no_such_module_anywhere.x
