"""Ports that another program of the machine holds: they are not forwarded as an instance's own."""

import socket
import threading

import modal

app = modal.App("compat-forward-held")
listeners: list[socket.socket] = []


@app.function()
def forwards(port: int) -> str:
    try:
        with modal.forward(port):
            return "forwarded"
    except modal.exception.Error as error:
        return str(error)


@app.function()
def forwards_first(port: int) -> str:
    """The other program comes later."""
    with modal.forward(port, unencrypted=True) as tunnel:
        serves.remote(port, True)
        with socket.create_connection(tunnel.tcp_socket, 10) as connection:
            try:
                heard = connection.recv(100)
            except ConnectionError:
                heard = b""
        serves.remote(port, False)
    return heard.decode() or "hung up"


@app.function(max_containers=1)
def serves(port: int, on: bool) -> None:
    if on:
        listeners.append(listener := socket.create_server(("127.0.0.1", port)))
        threading.Thread(target=lambda: listener.accept()[0].sendall(b"another's"), daemon=True).start()
    else:
        listeners.pop().close()


@app.local_entrypoint()
def main():
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        said = forwards.remote(port)
    print((f"port {port} of this machine is held by" in said and "(process " in said) or said)
    print(forwards_first.remote(port))
