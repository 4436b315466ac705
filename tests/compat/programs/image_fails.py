"""A step that fails."""

import modal

app = modal.App("image-fails")
image = (
    modal.Image.debian_slim()
    .env({"A": "1"})
    .run_commands("true")
    .run_commands("echo looking; ls /nowhere-at-all", "true")
)


@app.function(image=image)
def never() -> None: ...


@app.local_entrypoint()
def main():
    never.remote()
