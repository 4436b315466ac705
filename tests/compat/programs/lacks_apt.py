"""An image that names a Debian package that no machine has."""

import modal

app = modal.App("compat-lacks-apt", image=modal.Image.debian_slim().apt_install("no-such-package-of-freehold"))


@app.function()
def works():
    return "works"


@app.local_entrypoint()
def main():
    print(works.remote())
