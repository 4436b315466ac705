"""Ports that functions open: HTTP and plain TCP, from an instance on the machine's network and from one on its own."""

import http.server
import socket
import threading
import urllib.request

import modal

app = modal.App("compat-forward")


def echo(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data.upper())


def ask(where: "tuple[str, int]", text: bytes) -> bytes:
    with socket.create_connection(where, timeout=10) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@app.function()
def asks(host: str, port: int, text: bytes) -> int:
    """Another instance: it reaches the tunnel as anybody does."""
    return ask((host, port), text).count(text[:1].upper())


def tell(port: int) -> str:
    listener = socket.create_server(("0.0.0.0", port))
    threading.Thread(target=echo, args=(listener,), daemon=True).start()
    with modal.forward(port, unencrypted=True) as tunnel:
        host, outside = tunnel.tcp_socket
        assert (host, outside) == tunnel.tls_socket
        many = asks.remote(host, outside, b"x" * 3_000_000)
        try:
            with modal.forward(port):
                pass
        except modal.exception.InvalidError as error:
            again = "is forwarded already" in str(error)
    try:
        gone = asks.remote(host, outside, b"q")
    except OSError as error:
        gone = type(error).__name__
    return f"{many} {again} {gone}"


@app.function()
def on_the_machine() -> str:
    return tell(18_477)


@app.function(block_network=True)
def on_its_own() -> str:
    return tell(8000)


@app.function()
def web() -> str:
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 18_478), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with modal.forward(18_478) as tunnel:
        try:
            tunnel.tcp_socket  # noqa: B018
        except modal.exception.InvalidError:
            return f"{urllib.request.urlopen(tunnel.url, timeout=10).status} {tunnel.url.startswith('http://')}"
    return "?"


@app.function()
async def leaves_it_open() -> "tuple[str, int]":
    """An instance that ends takes its tunnels along."""
    tunnel = await modal.forward(18_479).__aenter__()
    return tunnel.host, tunnel.port


@app.local_entrypoint()
def main():
    print(on_the_machine.remote())
    print(on_its_own.remote())
    print(web.remote())
    print(":".join(map(str, leaves_it_open.remote())))
    try:
        modal.forward(80)
    except modal.exception.InvalidError as error:
        print(error)
