"""Secrets of every kind in one function, and secrets by name from outside."""

import os

import modal

app = modal.App("compat-secrets")
named = modal.Secret.from_name("compat-secret", required_keys=["TOKEN"])


@app.function(
    secrets=[
        named,
        modal.Secret.from_dict({"GIVEN": "given", "LEFT_OUT": None}),
        modal.Secret.from_local_environ(["COMPAT_LOCAL"]),
        modal.Secret.from_dotenv(__file__, filename="values.env"),
    ],
    env={"LAST": "last"},
)
def show() -> dict[str, str]:
    wanted = ("TOKEN", "MORE", "GIVEN", "LEFT_OUT", "COMPAT_LOCAL", "PLAIN", "PUT_IN", "LINES", "LAST")
    return {key: os.environ[key][::-1] for key in wanted if key in os.environ}


@app.local_entrypoint()
def main() -> None:
    for key, value in show.remote().items():
        print(key, repr(value))


@app.local_entrypoint()
def change() -> None:
    named.update({"MORE": "more"})
    print(named.name, named.info().name, named.object_id.startswith("st-"))
    modal.Secret.objects.create("compat-secret-2", {"A": "1"})
    print([s.name for s in modal.Secret.objects.list() if s.name.startswith("compat-secret")])
    modal.Secret.objects.delete("compat-secret-2")
    try:
        modal.Secret.objects.delete("compat-secret-2")
    except modal.exception.NotFoundError:
        print("gone")
