"""A module of a folder that has no `__init__.py`."""

import modal

from .constants import COLOUR
from .inner.deep import depth

app = modal.App("compat-space")


@app.function()
def where():
    from pathlib import Path

    from space import constants

    beside = sorted(p.name for p in Path(__file__).parent.iterdir() if p.is_file())
    return __name__, COLOUR, constants.COLOUR, depth(), beside


@app.local_entrypoint()
def main():
    print(where.remote())
