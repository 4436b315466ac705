"""The app under measure: one instance that returns what it is given."""

import numpy as np

import freehold

image = freehold.Image.debian_slim().pip_install(f"numpy=={np.__version__}")
app = freehold.App("bench-calls", image=image)


@app.function(min_containers=1, max_containers=1, scaledown_window=600)
def noop(value: int) -> int:
    return value


@app.function(max_containers=1, scaledown_window=600)
def echo(array: np.ndarray) -> np.ndarray:
    return array
