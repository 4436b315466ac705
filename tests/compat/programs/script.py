"""A plain script, run by Python itself."""

import sys

import modal

app = modal.App("compat-script")


@app.function()
def double(x: int) -> int:
    return 2 * x


if __name__ == "__main__":
    with app.run():
        print(double.remote(int(sys.argv[1])))
