"""Functions whose surroundings a shell takes."""

import modal

app = modal.App("compat-shell")
volume = modal.Volume.from_name("compat-shell", create_if_missing=True)
image = modal.Image.debian_slim().env({"OF_IMAGE": "yes"})


@app.function(
    image=image,
    volumes={"/data": volume},
    secrets=[modal.Secret.from_dict({"OF_SECRET": "hush"})],
    env={"OF_FUNCTION": "f"},
)
def plain() -> None: ...


@app.cls(image=image)
class Thing:
    @modal.method()
    def one(self) -> None: ...

    @modal.method()
    def two(self) -> None: ...


@app.local_entrypoint()
def main() -> None: ...
