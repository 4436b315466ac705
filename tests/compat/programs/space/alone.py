"""A file that is run by its path, whatever lies beside it."""

import modal

app = modal.App("compat-space-alone")


@app.function()
def where():
    from pathlib import Path

    return __name__, sorted(p.name for p in Path(__file__).parent.glob("*.py"))


@app.local_entrypoint()
def main():
    print(where.remote())
