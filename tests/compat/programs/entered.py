"""Functions whose instances are entered: one that is forked, one without a network."""

from pathlib import Path

import modal

app = modal.App("compat-entered")
image = modal.Image.debian_slim().env({"OF_IMAGE": "yes"})
given = {"min_containers": 1, "max_containers": 1, "image": image}


@app.cls(secrets=[modal.Secret.from_dict({"OF_SECRET": "hush"})], env={"OF_FUNCTION": "f"}, **given)
class Plain:
    @modal.enter()
    def begin(self) -> None:
        Path("/tmp/note").write_text("by the instance\n")

    @modal.method()
    def never(self) -> None:
        while True:
            pass


@app.function(block_network=True, **given)
def apart() -> None: ...
