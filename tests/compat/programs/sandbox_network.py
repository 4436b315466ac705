"""Networks: none, one with allowlists, and tunnels into both kinds."""

import socket
import threading
import time
import urllib.request

import modal

app = modal.App.lookup("compat-sandbox-network", create_if_missing=True)


def serve() -> int:
    """A service of this machine, such as a database without a password."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")

    threading.Thread(target=answer, daemon=True).start()
    return listener.getsockname()[1]


port = serve()
ASK = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}', timeout=5).read())"
THROUGH = f"""
import os, urllib.request as u
os.environ['NO_PROXY'] = os.environ['no_proxy'] = ''
print(u.build_opener(u.ProxyHandler({{'http': os.environ['HTTP_PROXY']}})).open('http://127.0.0.1:{port}', timeout=10).read())
"""
blocked = modal.Sandbox.create(app=app, block_network=True)
print("BLOCKED", blocked.exec("python", "-c", ASK).wait() != 0)
print("INTERFACES", blocked.exec("python", "-c", "import socket; print(socket.if_nameindex())").stdout.read().strip())
blocked.terminate()

listed = modal.Sandbox.create(app=app, outbound_cidr_allowlist=["127.0.0.1/32"], encrypted_ports=[8080])
print("PAST THE LIST", listed.exec("python", "-c", ASK).wait() != 0)
print("THROUGH THE PROXY", listed.exec("python", "-c", THROUGH).stdout.read().strip())
listed.exec("python", "-m", "http.server", "8080", "--bind", "127.0.0.1", "--directory", "/usr/share/doc")
tunnel = listed.tunnels()[8080]
for _ in range(50):
    try:
        status = urllib.request.urlopen(tunnel.url, timeout=5).status
        break
    except OSError:
        time.sleep(0.1)
print("TUNNEL", status, tunnel.port != 8080, tunnel.tls_socket == (tunnel.host, tunnel.port))
listed.terminate()

other = modal.Sandbox.create(app=app, outbound_cidr_allowlist=["10.0.0.0/8"], outbound_domain_allowlist=["example.com"])
denied = other.exec("python", "-c", THROUGH)
print("DENIED", "403" in denied.stderr.read(), denied.wait() != 0)
other.terminate()

opened = modal.Sandbox.create(
    "python", "-m", "http.server", "18974", "--bind", "127.0.0.1", app=app, unencrypted_ports=[18974]
)
host, found = opened.tunnels()[18974].tcp_socket
for _ in range(50):
    try:
        socket.create_connection((host, found), 1).close()
        print("OPEN", found == 18974)
        break
    except OSError:
        time.sleep(0.1)
opened.terminate()

for name, options in {
    "PORTS": {"block_network": True, "encrypted_ports": [80]},
    "NETWORK": {"outbound_cidr_allowlist": ["ten"]},
    "DOMAIN": {"outbound_domain_allowlist": ["http://x.com"]},
    "PROXY": {"proxy": object()},
    "GPUS": {"gpu": ["T4", "A10G"]},
    "TYPO": {"idle_timout": 3},
}.items():
    try:
        modal.Sandbox.create(app=app, **options)
        print(name, "no error")
    except modal.exception.Error as error:
        print(name, type(error).__name__)
