"""A local entrypoint that runs the command line."""

import shutil
import subprocess

import modal

app = modal.App("compat-runs-modal")


@app.local_entrypoint()
def main():
    subprocess.run(["modal", "--version"], check=True)
    print(
        subprocess.run(["modal", "app", "list"], check=True, capture_output=True, text=True).stdout.count(
            "compat-runs-modal"
        )
    )
    print(shutil.which("modal"), shutil.which("freehold"))
