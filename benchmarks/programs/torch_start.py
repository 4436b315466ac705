"""A function whose module imports torch: its warm parent has done so before an instance is asked for."""

from importlib import import_module
from typing import Any

import freehold

image = freehold.Image.debian_slim().pip_install("torch==2.13.0")
app = freehold.App("bench-torch", image=image)

with image.imports():
    torch: Any = import_module("torch")


@app.function(max_containers=1, scaledown_window=600)
def ready() -> float:
    return float(torch.ones(4).sum())
