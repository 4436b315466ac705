"""Output of every shape, from Python and from a child process."""

import json
import subprocess
import sys

import freehold

app = freehold.App("e2e-verbatim")


@app.function()
def write() -> None:
    for _ in range(5):
        print(".", end="", flush=True)
    print()
    print(json.dumps({"long": "v" * 100_000}))
    subprocess.run(["printf", r"a\n\nb\n10%%\r20%%\n"], check=True)
    sys.stdout.write("\rstep 1\rstep 2\n")
    print("한글 🎉", end="")
