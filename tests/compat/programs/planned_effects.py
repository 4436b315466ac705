"""A program that does things as it is loaded; a plan of it asks no server, and says where one would be needed."""

import os

import modal

app = modal.App("compat-effects")
shared = modal.App.lookup("compat-effects-shared", create_if_missing=True)
client = modal.Client.from_env()


@app.function(cpu=1)
def work(x: int) -> int:
    return x


app.deploy()
asks = os.environ.get("COMPAT_ASKS")
if asks == "remote":
    work.remote(1)
if asks == "other":
    modal.Function.from_name("compat-effects", "work").spawn(1)
if asks == "map":
    list(work.map([1]))
if asks == "sandbox":
    modal.Sandbox.create("true", app=shared)
if asks == "run":
    with app.run():
        pass
if asks == "queue":
    modal.Queue.from_name("compat-effects", create_if_missing=True).put(1)
if asks == "logs":
    shared.get_dashboard_url()
if asks == "volume":
    list(modal.Volume.from_name("compat-effects", create_if_missing=True).iterdir("/"))
