"""A script that runs its app where instances come by as they load it."""

import modal

app = modal.App("compat-runs-at-top")


@app.function()
def one() -> int:
    return 1


with app.run():
    try:
        one.remote()
    except modal.exception.ExecutionError as error:
        print(error)
