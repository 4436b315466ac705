"""A kept instance that never comes up."""

import modal

app = modal.App("compat-never-starts")


@app.cls(min_containers=1)
class Never:
    @modal.enter()
    def load(self):
        raise ValueError("no weights")

    @modal.method()
    def ask(self): ...
