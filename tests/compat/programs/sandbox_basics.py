"""A command of its own, its streams, its end."""

import modal

app = modal.App.lookup("compat-sandbox-basics", create_if_missing=True)

sb = modal.Sandbox.create("sh", "-c", "echo hello world; echo oh >&2; exit 3", app=app, timeout=60)
sb.wait()
print("OUT", repr(sb.stdout.read()), repr(sb.stderr.read()), sb.returncode, sb.poll())

again = modal.Sandbox.from_id(sb.object_id)
print("AGAIN", again.returncode, again.object_id == sb.object_id)

reader = modal.Sandbox.create("sh", "-c", "read name; echo got $name; cat", app=app)
reader.stdin.write("Ada\n")
reader.stdin.drain()
print("LINE", repr(next(iter(reader.stdout))))
reader.stdin.write(b"more\nlines")
reader.stdin.write_eof()
reader.stdin.drain()
reader.wait()
print("REST", list(reader.stdout), reader.returncode)

endless = modal.Sandbox.create(app=app)
print("POLL", endless.poll(), endless.returncode)
endless.terminate()
try:
    endless.wait()
except modal.exception.SandboxTerminatedError as error:
    print("TERMINATED", endless.returncode, "terminated" in str(error))
endless.wait(raise_on_termination=False)
print("WAITED", modal.Sandbox.create("sleep", "60", app=app).terminate(wait=True))

late = modal.Sandbox.create("sleep", "60", app=app, timeout=1)
try:
    late.wait()
except modal.exception.SandboxTimeoutError as error:
    print("TIMED OUT", late.returncode, isinstance(error, modal.exception.TimeoutError))

missing = modal.Sandbox.create("no-such-program", app=app)
missing.wait()
print("MISSING", missing.returncode, missing.stderr.read().strip())
