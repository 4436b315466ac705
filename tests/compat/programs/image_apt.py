"""An image with a Debian package of a repository of its own."""

import subprocess

import modal

image = (
    modal.Image.debian_slim()
    .add_local_dir("repo", "/srv/repo", copy=True)
    .run_commands(
        "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*",
        "echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list",
    )
    .apt_install("the-package")
)
app = modal.App("image-apt", image=image)


@app.function()
def say() -> str:
    return subprocess.check_output(
        "the-package; dpkg-query -W -f '${Package} ${Version}' the-package", shell=True, text=True
    )


@app.local_entrypoint()
def main():
    print(say.remote())
