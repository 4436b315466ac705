"""`run_function` in the forms that programs have: with constants, helpers, modules that only the image has, methods and arguments."""

import os
from pathlib import Path

import modal

app = modal.App("image-run-function")
KEPT = Path("/root/kept")
WORDS = {"greeting": "hello"}
base = modal.Image.debian_slim().uv_pip_install("sqlite-fts4")

with base.imports():
    import sqlite_fts4


def keep(name: str, text: str) -> None:
    KEPT.mkdir(exist_ok=True)
    (KEPT / name).write_text(text)


def with_constants_and_helpers() -> None:
    keep("helper", WORDS["greeting"])


def with_the_images_modules() -> None:
    keep("module", sqlite_fts4.__name__)


async def with_arguments(name: str, *, times: int = 1) -> None:
    keep("arguments", name * times + os.environ["SUFFIX"] + os.environ["OWN"])


class Loader:
    name = "loader"

    @staticmethod
    def load() -> None:
        keep("method", Loader.name)


image = (
    base.run_function(with_constants_and_helpers)
    .run_function(with_the_images_modules)
    .run_function(
        with_arguments,
        args=["ab"],
        kwargs={"times": 2},
        secrets=[modal.Secret.from_dict({"SUFFIX": "!"})],
        env={"OWN": "?"},
    )
    .run_function(Loader.load)
    .run_function(lambda: keep("lambda", "by value"))
)


@app.function(image=image)
def kept() -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted(KEPT.iterdir())}


@app.local_entrypoint()
def main():
    print(kept.remote())
