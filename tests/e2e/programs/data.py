"""A secret and a volume."""

import os
from pathlib import Path

import freehold

app = freehold.App("e2e-data")
volume = freehold.Volume.from_name("e2e-volume", create_if_missing=True)


@app.function(secrets=[freehold.Secret.from_name("e2e-secret", required_keys=["API_KEY"])])
def key() -> str:
    return os.environ["API_KEY"][::-1]  # reversed: results are kept, secrets must not be


@app.function(volumes={"/data": volume})
def write(text: str) -> None:
    Path("/data/folder").mkdir(exist_ok=True)
    Path("/data/folder/note.txt").write_text(text)
    volume.commit()


@app.function(volumes={"/data": volume})
def read() -> str:
    return Path("/data/folder/note.txt").read_text()
