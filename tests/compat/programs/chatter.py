import sys

import modal

app = modal.App("compat-chatter")


@app.function()
def talk(x: int):
    print(f"out {x}")
    print(f"err {x}", file=sys.stderr)
    return x


@app.local_entrypoint()
def main():
    print(sum(talk.map(range(3))))
