"""A program whose plan is read; no server has its secret, nor this machine its GPU."""

import modal

image = modal.Image.debian_slim().pip_install("numpy").env({"A": "1"})
app = modal.App("compat-planned", image=image)
weights = modal.Volume.from_name("compat-weights", create_if_missing=True)


@app.function(
    cpu=2, memory=2048, secrets=[modal.Secret.from_name("nowhere")], volumes={"/w": weights}, min_containers=1
)
def train(x: int) -> int:
    return x


@app.cls(gpu="A10G")
class Model:
    @modal.method()
    def predict(self, x):
        return x

    @modal.fastapi_endpoint()
    def web(self):
        return {}


@app.local_entrypoint()
def main():
    raise SystemExit("a plan runs nothing")
