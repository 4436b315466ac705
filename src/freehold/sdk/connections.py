"""Kept-alive HTTP connections to the control API, for requests that come often or wait long.

One core for both faces: the sync one blocks on the socket, the async one waits for it on the user's own loop, so that any number may
wait. A request that was interrupted closes its connection, which tells the server that nobody waits for the answer.
"""

import asyncio
import select
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from time import monotonic, sleep
from typing import NamedTuple
from urllib.parse import urlsplit

from freehold.core.errors import ConnectionError, ServiceError
from freehold.protocol.version import ENVIRONMENT_HEADER, PROTOCOL_VERSION, VERSION_HEADER
from freehold.sdk.config import Target, no_server
from freehold.sdk.faces import blocking, pause
from freehold.sdk.http import check_version, refusal

_TIMEOUT_S = 60.0
_IDLE_S, _IDLE = 4.0, 16  # the server hangs up after 5 s
_GIVE_UP_S, _FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 0.02, 0.5  # once there was a server
_PIECE = 1 << 18
_HEAD_MAX = 1 << 16


class Answer(NamedTuple):
    status: int
    reason: str
    headers: dict[str, str]
    data: bytes


class Connections:
    """Connections to one server, each used by one request at a time; for any thread and any loop."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._idle: list[tuple[float, _Connection]] = []
        self._met = self._closed = False

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        wait_s: float = 0.0,
        again: bool = False,
        environment: str = "",
    ) -> bytes:
        """A core: the answer's body. `environment`: another than the target's. `wait_s`: how long the server may wait before it begins one. `again`: asking twice does no harm.

        Once there was a server, one that has left is called for a minute, as long as nothing was sent or `again` allows it.
        """
        request = self._head(method, path, len(body), environment or self._target.environment) + body
        lost, pause_s = 0.0, _FIRST_PAUSE_S
        while True:
            connection: _Connection | None = None
            try:
                connection = self._kept() or await self._open()
                answer = await connection.exchange(request, _TIMEOUT_S + wait_s)
            except TimeoutError:
                msg = f"the server at {self._target.api} did not answer within {_TIMEOUT_S + wait_s:g} s"
                raise ServiceError(msg) from None
            except OSError as error:
                lost = lost or monotonic()
                sent = connection is not None
                if (sent and not again) or not self._met or monotonic() - lost > _GIVE_UP_S:
                    raise self._no_answer(error, sent=sent) from error
                await pause(_Sleep(pause_s))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            self._keep(connection)
            self._met = True
            check_version(answer.headers.get(VERSION_HEADER.lower()))
            if answer.status >= 400:
                raise refusal(self._target, answer.status, answer.reason, answer.data)
            return answer.data

    def close(self) -> None:
        """Hang up on what is idle, and on what is in use as soon as it is not."""
        self._closed = True
        while self._idle:
            self._idle.pop()[1].close()

    def __del__(self) -> None:  # of a client that was forgotten, as after a fork
        self.close()

    def _no_answer(self, error: OSError, *, sent: bool) -> ConnectionError:
        told = no_server(self._target, error)
        if sent:
            told = ConnectionError(f"{told}; whether it did what was asked is not known")
        return told

    def _kept(self) -> "_Connection | None":
        """One that was used before and is alive; what the server sends unasked is its farewell."""
        while self._idle:
            since, connection = self._idle.pop()
            if monotonic() - since < _IDLE_S and not connection.stirs():
                return connection
            connection.close()
        return None

    def _keep(self, connection: "_Connection") -> None:
        if connection.alive and not self._closed and len(self._idle) < _IDLE:
            self._idle.append((monotonic(), connection))
        else:
            connection.close()

    async def _open(self) -> "_Connection":
        if self._target.api.startswith("unix:"):
            return _Connection(_dial_unix(self._target.api.removeprefix("unix:")))
        return _Connection(await blocking(self._dial))

    def _dial(self) -> socket.socket:
        url = urlsplit(self._target.api)
        secure = url.scheme == "https"
        made = socket.create_connection((url.hostname or "", url.port or (443 if secure else 80)), timeout=_TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return ssl.create_default_context().wrap_socket(made, server_hostname=url.hostname) if secure else made

    def _head(self, method: str, path: str, size: int, environment: str) -> bytes:
        prefix, fields = self._fields
        if environment:
            fields += f"{ENVIRONMENT_HEADER}: {environment}\r\n"
        return f"{method} {prefix}{path} HTTP/1.1\r\n{fields}content-length: {size}\r\n\r\n".encode("ascii")

    @cached_property
    def _fields(self) -> tuple[str, str]:
        url = urlsplit("http://localhost" if self._target.api.startswith("unix:") else self._target.api)
        token = f"authorization: Bearer {self._target.token}\r\n{VERSION_HEADER}: {PROTOCOL_VERSION}\r\n"
        return url.path.rstrip("/"), f"host: {url.netloc}\r\n{token}content-type: application/msgpack\r\n"


class _Connection:
    """One socket. Requests and answers alternate."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._buffer, self.alive = sock, bytearray(), False

    async def exchange(self, request: bytes, timeout_s: float) -> Answer:
        self.alive = False
        try:
            deadline = monotonic() + timeout_s
            with suppress(
                BrokenPipeError, ConnectionResetError
            ):  # it may have answered already, without reading all of it
                await pause(_Send(self._sock, request, deadline))
            answer = await self._answer(deadline)
        except BaseException:
            self.close()
            raise
        self.alive = answer.headers.get("connection", "").lower() != "close" and not self._buffer
        return answer

    def stirs(self) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        self._sock.close()

    async def _answer(self, deadline: float) -> Answer:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEAD_MAX:
                raise OSError("what came is no HTTP answer")
            await self._more(deadline)
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = first.partition(" ")
        status, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or not status.isdigit():
            raise OSError(f"{first[:80]!r} is no HTTP answer")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(status), reason, headers, await self._body(int(status), headers, deadline))

    async def _body(self, status: int, headers: dict[str, str], deadline: float) -> bytes:
        if status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks(deadline)
        return await self._take(int(headers.get("content-length", "0")), deadline)

    async def _chunks(self, deadline: float) -> bytes:
        data = bytearray()
        while True:
            size = int((await self._line(deadline)).partition(b";")[0], 16)
            if size == 0:
                while await self._line(deadline):  # trailers
                    pass
                return bytes(data)
            data += await self._take(size, deadline)
            await self._line(deadline)

    async def _line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            await self._more(deadline)
        return (await self._take(end + 2, deadline))[:-2]

    async def _take(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            await self._more(deadline)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _more(self, deadline: float) -> None:
        step = _Receive(self._sock, deadline)
        await pause(step)
        if not step.data:
            raise ConnectionResetError("it hung up")
        self._buffer += step.data


# ---- steps, which the sync face takes in this thread and the async one on its loop


class _Send:
    def __init__(self, sock: socket.socket, data: bytes, deadline: float) -> None:
        self._sock, self._data, self._deadline = sock, data, deadline

    def block(self) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(self._data)

    async def settle(self) -> None:
        if isinstance(self._sock, ssl.SSLSocket):
            await asyncio.get_running_loop().run_in_executor(_secure(), self.block)
            return
        self._sock.setblocking(False)
        async with asyncio.timeout(_left(self._deadline)):
            await asyncio.get_running_loop().sock_sendall(self._sock, self._data)


class _Receive:
    data = b""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def block(self) -> None:
        self._sock.settimeout(_left(self._deadline))
        self.data = self._sock.recv(_PIECE)

    async def settle(self) -> None:
        if isinstance(self._sock, ssl.SSLSocket):
            await asyncio.get_running_loop().run_in_executor(_secure(), self.block)
            return
        self._sock.setblocking(False)
        async with asyncio.timeout(_left(self._deadline)):
            self.data = await asyncio.get_running_loop().sock_recv(self._sock, _PIECE)


class _Sleep:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def block(self) -> None:
        sleep(self._seconds)

    async def settle(self) -> None:
        await asyncio.sleep(self._seconds)


def _left(deadline: float) -> float:
    return max(0.001, deadline - monotonic())


def _dial_unix(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(_TIMEOUT_S)
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made


_threads: ThreadPoolExecutor | None = None


def _secure() -> ThreadPoolExecutor:
    """Threads of their own for TLS, which loops cannot do on a socket: many may wait, and the default ones are few."""
    global _threads  # noqa: PLW0603 (one pool a process)
    if _threads is None:
        _threads = ThreadPoolExecutor(256, thread_name_prefix="freehold-tls")
    return _threads
