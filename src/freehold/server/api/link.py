"""The link over a WebSocket: one binary message is one frame's body, handled by the same `Link` as on the Unix socket."""

import asyncio
import struct
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

router = APIRouter()
_HEADER = struct.Struct("<I")
_HIGH_BYTES = 4 * 1024 * 1024


@router.websocket("/v1/link")
async def link(websocket: WebSocket) -> None:
    """Carry frames both ways until either side hangs up."""
    await websocket.accept()
    ours = websocket.app.state.context.services.links.accept(local=False)
    transport = SocketTransport(websocket, ours)
    ours.connection_made(transport)
    error: Exception | None = None
    try:
        while not transport.is_closing():
            await transport.reading.wait()
            body = await websocket.receive_bytes()
            ours.data_received(_HEADER.pack(len(body)) + body)  # a Link refuses what is over its limit, and closes
    except WebSocketDisconnect as gone:
        error = (
            None if gone.code in (1000, 1001, 1005) else ConnectionResetError(f"the WebSocket closed with {gone.code}")
        )
    except KeyError:
        error = ValueError("a text message on a link; frames are binary")
    finally:
        await transport.ended()
        ours.connection_lost(error)


class SocketTransport(asyncio.Transport):
    """What a `Link` writes to: whole frames, each sent as one message, in order."""

    def __init__(self, websocket: WebSocket, owner: asyncio.Protocol) -> None:
        super().__init__()
        self._websocket, self._owner = websocket, owner
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queued_bytes = 0
        self._closing = self._paused = False
        self.reading = asyncio.Event()
        self.reading.set()
        self._task = asyncio.get_running_loop().create_task(self._send())

    def write(self, data: Any) -> None:
        if self._closing:
            return
        self._queue.put_nowait(data)
        self._queued_bytes += len(data)
        if self._queued_bytes > _HIGH_BYTES and not self._paused:
            self._paused = True
            self._owner.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._queued_bytes

    def pause_reading(self) -> None:
        self.reading.clear()

    def resume_reading(self) -> None:
        self.reading.set()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.reading.set()
            self._queue.put_nowait(None)

    def abort(self) -> None:
        self.close()

    async def ended(self) -> None:
        """The other side is gone, or we are done: stop sending."""
        self._closing = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _send(self) -> None:
        while (frame := await self._queue.get()) is not None:
            await self._websocket.send_bytes(frame[_HEADER.size :])
            self._queued_bytes -= len(frame)
            if self._paused and self._queued_bytes < _HIGH_BYTES // 2:
                self._paused = False
                self._owner.resume_writing()
        await self._websocket.close()
