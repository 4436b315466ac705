"""Every way to begin and to go on, as programs write them. It is planned, not built."""

from pathlib import Path

import modal

HERE = Path(__file__).parent
app = modal.App("image-surface")
secret = modal.Secret.from_name("a-secret")
cuda = (
    modal.Image.from_registry(
        "nvidia/cuda:12.8.1-devel-ubuntu24.04", add_python="3.12", setup_dockerfile_commands=["RUN true"]
    )
    .entrypoint([])
    .apt_install("git", ["libgl1-mesa-glx", "ffmpeg"])
    .pip_install("torch==2.8.0", extra_index_url="https://download.pytorch.org/whl/cu128", gpu="H100")
    .env({"HF_HUB_ENABLE_HF_TRANSFER": "1"})
    .cmd(["sleep", "1"])
)
others = [
    modal.Image.from_aws_ecr("1.dkr.ecr.us-east-1.amazonaws.com/x:1", secret=secret),
    modal.Image.from_gcp_artifact_registry("us-docker.pkg.dev/x/y:1", secret=secret, add_python="3.11"),
    modal.Image.from_scratch(),
    modal.Image.micromamba(python_version="3.11").micromamba_install(
        "cudatoolkit=11", "cudnn", channels=["conda-forge"]
    ),
    modal.Image.debian_slim("3.12", force_build=True).pip_install_private_repos(
        "github.com/a/b@main", git_user="me", secrets=[secret]
    ),
    modal.Image.debian_slim().shell(["/bin/bash", "-c"]).dockerfile_commands(["RUN true"], gpu="any", secrets=[secret]),
    modal.Image.debian_slim().uv_pip_install("a", requirements=[], uv_version="0.8.0", env={"A": None}, pre=True),
    modal.Image.debian_slim()
    .add_local_file(__file__, "/root/x.py", copy=True)
    .add_local_dir(HERE, "/srv", ignore=["*"]),
]
for number, image in enumerate([cuda, *others]):

    def function() -> None: ...

    app.function(image=image, name=f"f{number}", serialized=True)(function)
