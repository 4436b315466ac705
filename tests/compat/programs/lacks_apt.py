"""An image that names a Debian package that no machine has; it asks no mirror."""

import modal

image = modal.Image.debian_slim().run_commands("rm -rf /etc/apt/sources.list* || true")
app = modal.App("compat-lacks-apt", image=image.apt_install("no-such-package-of-freehold"))


@app.function()
def works():
    return "works"


@app.local_entrypoint()
def main():
    print(works.remote())
