"""A server on a port of its own that says who answers, how long it was asked to take, and with what body."""

import os
import subprocess
import sys

import modal

app = modal.App("compat-server")
PORT = 18431

SERVER = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        seconds = float(self.path.partition("=")[2] or 0)
        time.sleep(seconds)
        self._say(os.environ["WHO"].encode())

    def do_POST(self):
        self._say(str(len(self.rfile.read(int(self.headers["content-length"])))).encode())

    def _say(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""


def start(port: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, str(port)], env={**os.environ, "WHO": os.environ["MODAL_TASK_ID"]}
    )


@app.server(port=PORT, unauthenticated=True, max_concurrency=2, scaledown_window=30)
class Who:
    @modal.enter()
    def enter(self):
        self.process = start(PORT)

    @modal.exit()
    def leave(self):
        self.process.terminate()
        print("left", flush=True)


@app.server(port=PORT + 1)
class Locked:
    @modal.enter()
    def enter(self):
        start(PORT + 1)


@app.local_entrypoint()
def main():
    import time
    import urllib.error
    import urllib.request

    url = Who.get_url()
    assert url
    assert Who.get_urls() == [url]
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError as error:
        print("cold", error.code)
    deadline = time.monotonic() + 20
    while True:
        try:
            print("warm", urllib.request.urlopen(url).read().decode()[:3])
            break
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
