"""What is changed of a deployed function while it runs."""

import os
import time

import modal

app = modal.App("compat-changed")


@app.function(max_containers=2)
def wait(until: str) -> str:
    while not os.path.exists(until):
        time.sleep(0.1)
    return os.environ.get("MODE", "none")


client = modal.App("compat-changes")
found = modal.Function.from_name("compat-changed", "wait")


@client.local_entrypoint()
def change():
    found.update_autoscaler(min_containers=1)
    print(found.with_options(env={"MODE": "varied"}).spawn(3).object_id)


@client.local_entrypoint()
def look(call: str = ""):
    print(found.autoscaler.settings().min_containers, modal.FunctionCall.from_id(call).get() if call else "")
