"""Sandboxes with ports on a machine without slirp4netns: one a port, and no tunnel leads to another's server."""

import socket
import threading
import time

import modal

app = modal.App.lookup("compat-sandbox-shared", create_if_missing=True)
SERVE = "import socket; s = socket.create_server(('127.0.0.1', {})); c, _ = s.accept(); c.sendall(b'mine'); c.close()"


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def hear(where: "tuple[str, int]") -> str:
    with socket.create_connection(where, 5) as connection:
        try:
            return connection.recv(100).decode() or "hung up"
        except OSError:
            return "hung up"


def refusal(port: int) -> str:
    try:
        modal.Sandbox.create(app=app, unencrypted_ports=[port]).terminate()
    except modal.exception.Error as error:
        return f"{type(error).__name__}: {error}"
    return "none"


port = free()
first = modal.Sandbox.create(app=app, unencrypted_ports=[port])
said = refusal(port)
print("SECOND", f"port {port} is held by sandbox {first.object_id}" in said, "apt-get install slirp4netns" in said)

where = first.tunnels()[port].tcp_socket
listener = socket.create_server(("127.0.0.1", port))  # of this program, not of the sandbox
threading.Thread(target=lambda: listener.accept()[0].sendall(b"another's"), daemon=True).start()
print("ANOTHER'S", hear(where))
taken = free()
with socket.create_server(("127.0.0.1", taken)):
    said = refusal(taken)
    print("HELD", f"port {taken} is held by python" in said, "(process " in said)
first.terminate()

port = free()
second = modal.Sandbox.create("python", "-c", SERVE.format(port), app=app, unencrypted_ports=[port])
where = second.tunnels()[port].tcp_socket
for _ in range(100):
    if (heard := hear(where)) != "hung up":
        break
    time.sleep(0.1)
print("ITS OWN", heard)
second.terminate()
print("AGAIN", refusal(port))
