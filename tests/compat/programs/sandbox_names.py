"""Names, tags, listing, idleness, readiness, detaching."""

import time

import modal

app = modal.App.lookup("compat-sandbox-names", create_if_missing=True)
sb = modal.Sandbox.create("sleep", "60", app=app, name="one", tags={"job": "a", "step": "1"})
try:
    modal.Sandbox.create(app=app, name="one")
except modal.exception.AlreadyExistsError as error:
    print("TAKEN", "'one'" in str(error))
print("BY NAME", modal.Sandbox.from_name("compat-sandbox-names", "one").object_id == sb.object_id)
other = modal.Sandbox.create(app=app, tags={"job": "a"})
print(
    "TAGGED",
    len(list(modal.Sandbox.list(app_id=app.app_id, tags={"job": "a"}))),
    len(list(modal.Sandbox.list(tags={"job": "a", "step": "1"}))),
)
sb.set_tags({"job": "b"})
print(
    "TAGS",
    modal.Sandbox.from_id(sb.object_id).get_tags(),
    len(list(modal.Sandbox.list(app_id=app.app_id, tags={"job": "a"}))),
)
other.terminate()
sb.terminate()
try:
    modal.Sandbox.from_name("compat-sandbox-names", "one")
except modal.exception.NotFoundError as error:
    print("GONE", "'one'" in str(error))
print("ENDED", modal.Sandbox.from_name("compat-sandbox-names", "one", include_terminated=True).returncode)
print("LISTED", list(modal.Sandbox.list(app_id=app.app_id)))

idle = modal.Sandbox.create(app=app, idle_timeout=2)
busy = idle.exec("sleep", "3")
busy.wait()
begun = time.monotonic()
idle.wait(raise_on_termination=False)
print("IDLE", idle.returncode, 1 < time.monotonic() - begun < 8)

program = "import time, http.server as h; time.sleep(1); h.HTTPServer(('127.0.0.1', 18973), h.SimpleHTTPRequestHandler).serve_forever()"
ready = modal.Sandbox.create("python", "-c", program, app=app, readiness_probe=modal.Probe.with_tcp(18973))
ready.wait_until_ready(timeout=20)
print("READY", ready.exec("python", "-c", "import socket; socket.create_connection(('127.0.0.1', 18973))").wait())
ready.detach()
try:
    ready.poll()
except modal.exception.ClientClosed:
    print("DETACHED", modal.Sandbox.from_id(ready.object_id).terminate(wait=True))
never = modal.Sandbox.create(app=app, readiness_probe=modal.Probe.with_exec("false"))
try:
    never.wait_until_ready(timeout=1)
except modal.exception.TimeoutError:
    print("NEVER READY")
never.terminate()
