"""A sandbox that waits for commands."""

import sys

import modal

app = modal.App.lookup("compat-shell-held", create_if_missing=True)
sandbox = modal.Sandbox.create(
    "sh", "-c", "echo words of its own; sleep 60", app=app, timeout=60, name="held", tags={"kind": "test"}, cpu=3000
)
print(sandbox.object_id, flush=True)
sys.stdin.read()
sandbox.terminate()
