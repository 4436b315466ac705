"""Sandboxes that all serve on one port, at once, and what they reach outside."""

import socket
import sys
import threading
import time
import urllib.request

import modal

app = modal.App.lookup("compat-sandbox-ports", create_if_missing=True)
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())

ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Handler).serve_forever()
"""
REACH = """
import socket, sys
for host, port in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    try:
        with socket.create_connection((host, port), 3) as s:
            print(s.recv(100).decode())
    except OSError:
        print("nothing")
"""
platform, address = int(sys.argv[1]), sys.argv[2]
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]


def greet(host: str) -> int:
    listener = socket.create_server((host, 0))

    def answer() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"hello")

    threading.Thread(target=answer, daemon=True).start()
    return listener.getsockname()[1]


def ask(url: str) -> str:
    for _ in range(100):
        try:
            return urllib.request.urlopen(url, timeout=5).read().decode()
        except OSError:
            time.sleep(0.1)
    return "nobody"


def make(who: str) -> modal.Sandbox:
    probe = modal.Probe.with_tcp(port)
    return modal.Sandbox.create(
        "python", "-c", SERVER, who, str(port), app=app, encrypted_ports=[port], readiness_probe=probe, timeout=60
    )


boxes = [make("one"), make("two")]
for sandbox in boxes:
    sandbox.wait_until_ready()
    tunnel = sandbox.tunnels()[port]
    print("ANSWER", ask(tunnel.url), tunnel.port != port)
try:
    socket.create_connection(("127.0.0.1", port), 1).close()
    print("LEFT OPEN")
except OSError:
    print("NOT ON THE MACHINE")

places = ["127.0.0.1", platform, "10.0.2.2", platform, "127.0.0.1", greet("127.0.0.1")]
places += [address, greet(address)] if address != "none" else []
print("REACHED", boxes[0].exec("python", "-c", REACH, *map(str, places)).stdout.read().split())
print("RESOLVER", boxes[0].exec("head", "-1", "/etc/resolv.conf").stdout.read().strip())
for sandbox in boxes:
    sandbox.terminate()
