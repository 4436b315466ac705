"""A function makes an app to put sandboxes in; it may not deploy over what is there."""

import json

import modal

app = modal.App("compat-lookup-inside")


@app.function()
def inside() -> str:
    pool = modal.App.lookup("compat-pool-of-sandboxes", create_if_missing=True)
    sandbox = modal.Sandbox.create(app=pool, timeout=60)
    try:
        process = sandbox.exec("python", "-u", "-c", "import json; print(json.dumps({'a': 1}), flush=True)")
        return json.loads(next(iter(process.stdout)))
    finally:
        sandbox.terminate()


@app.function()
def deploys() -> str:
    other = modal.App("compat-lookup-inside")
    try:
        other.deploy()
    except modal.exception.PermissionDeniedError as error:
        return str(error)
    return "deployed"


@app.local_entrypoint()
def main():
    print(inside.remote())
    print(deploys.remote())
