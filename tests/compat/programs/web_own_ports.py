"""Programs that all serve on port 8000, several instances of each at once."""

import os
import subprocess
import sys
import time

import modal

app = modal.App("compat-ports")

SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["WHO"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""


def start() -> None:
    environment = {**os.environ, "WHO": os.environ["MODAL_TASK_ID"]}
    subprocess.Popen([sys.executable, "-c", SERVER], env=environment)


@app.function(min_containers=2)
@modal.concurrent(max_inputs=1)
@modal.web_server(8000, startup_timeout=20)
def one():
    start()


@app.server(port=8000, unauthenticated=True, min_containers=2)
class Two:
    @modal.enter()
    def enter(self):
        start()


@app.function(block_network=True, min_containers=2)
@modal.concurrent(max_inputs=1)
@modal.web_server(8000, startup_timeout=20)
def alone():
    """Needs no way outside, so no slirp4netns either."""
    start()


@app.function()
@modal.concurrent(max_inputs=10)
@modal.web_server(8000, startup_timeout=20)
def asks_others():
    """Reaches the platform by the same address as everyone."""
    import urllib.request

    url = alone.get_web_url()
    os.environ["MODAL_TASK_ID"] = "heard " + urllib.request.urlopen(url, timeout=20).read().decode()
    start()


@app.function(block_network=True)
def blocked(host: str, port: int) -> str:
    import socket

    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        return f"no network: {error.strerror}"
    return "connected"


@app.function(block_network=True)
def calls_on(seconds: float) -> str:
    time.sleep(seconds)
    return asks.remote("from inside")


@app.function()
def asks(text: str) -> str:
    return f"heard {text}"


@app.local_entrypoint()
def main(host: str, port: int):
    print(blocked.remote(host, port))
    print(calls_on.remote(0))
