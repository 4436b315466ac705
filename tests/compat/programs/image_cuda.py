"""A base image that this machine cannot stand in for."""

import modal

app = modal.App("image-cuda")


@app.function(image=modal.Image.from_registry("pytorch/pytorch:2.4.0-cuda12.1-cudnn9-runtime"))
def never() -> None: ...


@app.local_entrypoint()
def main():
    never.remote()
