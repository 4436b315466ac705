"""Lets the server reach into the network of an instance: over a Unix socket it asks for a port and is given an open TCP socket.

A socket stays in the network it was made in, whoever holds it, so nothing is copied on the way. One request a connection, two words:
`connect PORT` gives a connection to what listens on the instance's loopback, `listen PORT` one that listens there.
"""

import contextlib
import socket
import threading
from pathlib import Path

_BACKLOG = 512
_REQUEST_BYTES = 64
_PATIENCE_S = 5.0
_DONE, _FAILED = b"+", b"-"


class Porter:
    """A thread of its own; it lives as long as the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(_BACKLOG)
        threading.Thread(target=self._work, name="freehold-porter", daemon=True).start()

    def address(self, port: int) -> str:
        """As the server dials it."""
        return f"inside:{self.path}:{port}"

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    def _work(self) -> None:
        while True:
            try:
                asked, _ = self._listener.accept()
            except OSError:
                return
            with asked, contextlib.suppress(OSError):
                asked.settimeout(_PATIENCE_S)
                _answer(asked)


def _answer(asked: socket.socket) -> None:
    verb, _, port = asked.recv(_REQUEST_BYTES).decode("ascii", "replace").partition(" ")
    try:
        made = {"connect": _connected, "listen": _listening}[verb](int(port))
    except (OSError, ValueError, OverflowError, KeyError) as error:
        asked.sendall(_FAILED + str(error).encode())
        return
    with made:
        socket.send_fds(asked, [_DONE], [made.fileno()])


def _connected(port: int) -> socket.socket:
    """To a server on any loopback address: some listen on IPv6 alone."""
    try:
        return socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
    except ConnectionRefusedError:
        with contextlib.suppress(OSError):
            return socket.create_connection(("::1", port), _PATIENCE_S)
        raise


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
