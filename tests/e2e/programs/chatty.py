"""Prints numbered lines as fast as it can, and notes beside them how far it came."""

from pathlib import Path

import freehold

app = freehold.App("chatty")
marks = freehold.Volume.from_name("marks", create_if_missing=True)


@app.function(volumes={"/marks": marks})
def talk() -> None:
    with Path("/marks/counter").open("w") as out:
        for n in range(1_000_000):
            print("line", n)
            if n % 1000 == 0:
                out.seek(0)
                out.write(str(n))
                out.flush()
