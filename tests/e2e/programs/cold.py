"""500 clients call a model that nobody has loaded yet."""

import asyncio
import time
from pathlib import Path

import freehold

app = freehold.App("cold")
marks = freehold.Volume.from_name("marks", create_if_missing=True)


@app.cls(max_containers=1, volumes={"/marks": marks})
class Model:
    @freehold.enter()
    def load(self) -> None:
        time.sleep(0.3)
        with Path("/marks/loads").open("a") as loads:
            loads.write("loaded\n")

    @freehold.method()
    def predict(self, x: int) -> int:
        return x + 1


async def many() -> None:
    model = Model()
    answers = await asyncio.gather(*(model.predict.remote.aio(n) for n in range(500)))
    assert answers == list(range(1, 501))
    print(len(answers), "answered")


if __name__ == "__main__":
    with app.run():
        asyncio.run(many())
