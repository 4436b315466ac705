"""What an image's steps write anywhere is in it: for its functions and its sandboxes, and for nobody else."""

import subprocess
from pathlib import Path

import modal

app = modal.App("image-layers")
volume = modal.Volume.from_name("image-layers", create_if_missing=True)
LOOK = "cat /opt/layers/x /etc/layers.conf /opt/layers/a.txt /usr/share/layers; layers-tool"


def write() -> None:
    Path("/usr/share/layers").write_text("share\n")


image = (
    modal.Image.debian_slim()
    .run_commands(
        "mkdir -p /opt/layers && echo opt > /opt/layers/x",
        "printf '#!/bin/sh\\necho tool\\n' > /usr/local/bin/layers-tool && chmod +x /usr/local/bin/layers-tool",
    )
    .dockerfile_commands("RUN echo conf > /etc/layers.conf && ln -s /opt/layers /layers && ldconfig")
    .add_local_file("pattern_files/a.txt", "/layers/a.txt", copy=True)
    .run_function(write)
    .workdir("/layers")
    .add_local_dir("pattern_files", "/opt/layers/laid")
)


def said(command: str) -> str:
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    return done.stdout + done.stderr


@app.function(image=image, volumes={"/opt/layers/volume": volume})
def inside(word: str) -> str:
    Path("/opt/layers/volume/kept").write_text("kept")
    return said(f"{LOOK}; pwd -P; ls /opt/layers; echo {word} > /opt/layers/x && cat /opt/layers/x")


@app.function()
def outside() -> str:
    return said(
        "ls -d /opt/layers /usr/local/bin/layers-tool /etc/layers.conf /usr/share/layers 2>/dev/null; echo mine > /usr/mine; cat /usr/mine"
    )


@app.local_entrypoint()
def main():
    print("INSIDE", inside.remote("changed").split())
    print("OUTSIDE", outside.remote().split())
    print("HERE", [p for p in ("/opt/layers", "/etc/layers.conf", "/usr/mine") if Path(p).exists()])


@app.local_entrypoint()
def held():
    sandbox = modal.Sandbox.create("sh", "-c", LOOK, image=image, app=app)
    sandbox.wait()
    print("SANDBOX", sandbox.stdout.read().split())
