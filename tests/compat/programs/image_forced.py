"""A step that is built anew in each run."""

import modal

app = modal.App("image-forced")
image = modal.Image.debian_slim().run_commands("cat /proc/sys/kernel/random/uuid > /root/built", force_build=True)


@app.function(image=image)
def built() -> str:
    return open("/root/built").read().strip()


@app.local_entrypoint()
def main():
    print(built.remote(), built.remote())
