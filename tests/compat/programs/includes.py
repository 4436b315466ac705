"""Two apps with images and variables of their own, one in the other."""

import os

import modal

inner = modal.App("compat-inner", image=modal.Image.debian_slim().env({"WHO": "inner"}))
app = modal.App(
    "compat-outer", image=modal.Image.debian_slim().env({"WHO": "outer"}), secrets=[modal.Secret.from_dict({"S": "1"})]
)

with modal.Image.debian_slim().env({"WHO": "nobody"}).imports():
    import not_a_module_anywhere  # noqa: F401


@inner.function()
def within():
    return os.environ["WHO"], "S" in os.environ


@app.function()
def around():
    return os.environ["WHO"], "S" in os.environ


app.include(inner)


@app.local_entrypoint()
def main():
    print(within.remote(), around.remote())
