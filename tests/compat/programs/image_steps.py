"""What steps are given while they run: secrets, variables and volumes, gone afterwards."""

import os
import subprocess

import modal

app = modal.App("image-steps")
volume = modal.Volume.from_name("image-steps", create_if_missing=True)
secret = modal.Secret.from_dict({"TOKEN": "hush-hush-token"})
image = (
    modal.Image.debian_slim()
    .env({"STAYS": "1", "PATH": "/root/tools:$PATH"})
    .run_commands(
        "mkdir /root/tools; echo echo a tool of ours > /root/tools/compat-tool; chmod +x /root/tools/compat-tool",
        "compat-tool",
    )
    .run_commands(
        'echo $TOKEN is secret; test -n "$TOKEN" -a $STAYS$OWN = 12 && echo built > /data/built && echo done > /root/done',
        secrets=[secret],
        env={"OWN": "2"},
        volumes={"/data": volume},
    )
    .apt_install("bash", "coreutils")
    .workdir("/srv")
    .pipe(lambda image: image.dockerfile_commands("RUN echo $PWD > /root/where", "ENV FROM_DOCKER=yes"))
)


@app.function(image=image, volumes={"/seen": volume})
def look() -> list[object]:
    built = open("/seen/built").read().strip()
    where = open("/root/where").read().strip()
    tool = subprocess.run(["sh", "-c", "compat-tool"], capture_output=True, text=True, check=True).stdout.strip()
    return [tool, built, where, os.getcwd(), os.environ["FROM_DOCKER"], "TOKEN" in os.environ, "OWN" in os.environ]


@app.local_entrypoint()
def main():
    print(look.remote())
