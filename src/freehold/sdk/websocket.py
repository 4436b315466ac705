"""The link over a WebSocket, for servers elsewhere: one binary message is one frame's body."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from freehold.core.errors import AuthError
from freehold.protocol.frames import Frame
from freehold.protocol.link import MAX_FRAME_BYTES
from freehold.protocol.version import PROTOCOL_VERSION, VERSION_HEADER

_encode = msgspec.msgpack.Encoder().encode


class WebSocketLink:
    """Messages of one loop turn go in one frame, as on a Unix socket."""

    def __init__(
        self, connection: ClientConnection, receive: Callable[[bytes], None], closed: Callable[[Exception | None], None]
    ) -> None:
        self._connection, self._receive, self._closed = connection, receive, closed
        self._unsent: list[Frame] = []
        self._filled = asyncio.Event()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    def send(self, message: Frame) -> None:
        self._unsent.append(message)
        self._filled.set()

    def send_now(self, message: Frame) -> bool:  # noqa: ARG002 (only the loop's thread may write)
        return False

    def close(self) -> None:
        self._tasks.append(asyncio.create_task(self._finish()))

    async def _finish(self) -> None:
        await self._flush()
        await self._connection.close()

    async def _read(self) -> None:
        error: Exception | None = None
        try:
            async for body in self._connection:
                if isinstance(body, bytes):
                    self._receive(body)
        except (WebSocketException, OSError, msgspec.DecodeError) as caught:
            error = caught
        self._tasks[1].cancel()
        self._closed(error)

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            await self._flush()

    async def _flush(self) -> None:
        self._filled.clear()
        messages, self._unsent = self._unsent, []
        if messages:
            try:
                await self._connection.send(_encode(messages))
            except ConnectionClosed:
                return  # the reader sees it too, and says so


async def open_websocket(
    url: str, token: str, receive: Callable[[bytes], None], closed: Callable[[Exception | None], None]
) -> WebSocketLink:
    """Dial the server's `/v1/link`; AuthError when it does not know the token, OSError when nobody answers."""
    headers: dict[str, Any] = {"Authorization": f"Bearer {token}", VERSION_HEADER: str(PROTOCOL_VERSION)}
    try:
        connection = await connect(url, additional_headers=headers, max_size=MAX_FRAME_BYTES, compression=None)
    except InvalidStatus as error:
        if error.response.status_code in (401, 403):
            msg = "the server does not accept the token in FREEHOLD_TOKEN"
            raise AuthError(msg) from error
        msg = f"{url} answered {error.response.status_code}, and no link: is it a Freehold server?"
        raise OSError(msg) from error
    except WebSocketException as error:
        raise OSError(str(error)) from error
    return WebSocketLink(connection, receive, closed)
