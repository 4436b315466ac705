"""An input that kills whatever runs it."""

import os
import signal

import freehold

app = freehold.App("poison")


@app.function()
def bite() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.local_entrypoint()
def main() -> None:
    bite.remote()
