"""Apps that lack something, with an image that cannot be built: what lacks is told before that is tried."""

import modal

image = modal.Image.debian_slim().run_commands("echo building; exit 9")
no_secret = modal.App("compat-no-secret", image=image)
no_key = modal.App("compat-no-key", image=image)
no_volume = modal.App("compat-no-volume", image=image)
no_gpu = modal.App("compat-no-gpu", image=image)


@no_secret.function(
    secrets=[modal.Secret.from_dict({"A": "1"}), modal.Secret.from_name("compat-nowhere")], serialized=True
)
def a() -> None: ...


@no_key.function(secrets=[modal.Secret.from_name("compat-lacking", required_keys=["KEY"])], serialized=True)
def b() -> None: ...


@no_volume.function(volumes={"/data": modal.Volume.from_name("compat-no-volume")}, serialized=True)
def c() -> None: ...


@no_gpu.function(gpu="h100:8", serialized=True)
def d() -> None: ...
