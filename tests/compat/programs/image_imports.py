"""Two images in one program: each function has what its own image satisfies, and starts without what the other's does."""

import modal

app = modal.App("image-imports")
first = modal.Image.debian_slim().uv_pip_install("sqlite-fts4")
second = modal.Image.debian_slim()

with first.imports():
    import sqlite_fts4

with second.imports():
    import json

lacking = modal.Image.debian_slim().env({"OF": "its own"})
with lacking.imports():
    import nothing_of_this_name


@app.function(image=first)
def has() -> str:
    return sqlite_fts4.__name__


@app.function(image=second)
def has_not() -> str:
    return json.dumps("sqlite_fts4" in globals())


@app.function(image=lacking)
def lacks() -> str:
    return nothing_of_this_name.__name__


@app.local_entrypoint()
def main():
    print(has.remote(), has_not.remote())
    try:
        lacks.remote()
    except modal.exception.ExecutionError as error:
        print(type(error).__name__, "nothing_of_this_name" in str(error))
