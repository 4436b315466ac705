"""A function whose program calls Modal's command line, and a process of its own that imports modal."""

import subprocess
import sys

import modal

app = modal.App("compat-calls-cli")


@app.function()
def look() -> tuple[str, str]:
    subprocess.run(["modal", "volume", "create", "compat-from-inside"], check=True, capture_output=True)
    shown = subprocess.run(["modal", "volume", "list"], check=True, capture_output=True, text=True).stdout
    inner = subprocess.run(
        [sys.executable, "-c", "import modal; print(modal.App.__module__)"], check=True, capture_output=True, text=True
    )
    return "compat-from-inside" in shown, inner.stdout.strip()


@app.local_entrypoint()
def main():
    print(look.remote())
