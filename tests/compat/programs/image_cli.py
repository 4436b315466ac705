"""An image with a name, and the `modal` command in an instance."""

import subprocess

import modal

app = modal.App("compat-image-cli")


@app.function()
def version() -> str:
    done = subprocess.run(["modal", "--version"], capture_output=True, text=True, check=True)
    return f"{done.stdout.strip()}\n{modal.__file__}"


@app.local_entrypoint()
def main() -> None:
    image = modal.Image.debian_slim().env({"COMPAT": "cli"}).build(app)
    image.publish("compat-cli:v1")
