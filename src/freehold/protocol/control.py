"""What a launcher and its warm parent say to each other, over a SOCK_SEQPACKET pair; file descriptors ride along.

Messages that are too large for a packet ride in a memfd.
"""

import os
import socket
from typing import Any

import msgspec
from msgspec import Struct

from freehold.core.specs import FunctionSpec
from freehold.protocol.frames import RemoteFailure

_PACKET_BYTES = 60_000
_INLINE, _MEMFD = b"\x00", b"\x01"
_MAX_FDS = 16


class Boot(Struct, frozen=True, tag=True):
    """Load this function. First message to a parent."""

    spec: FunctionSpec
    parameters: bytes
    root: str  # where the user's code lies: cwd and first on sys.path
    env: dict[str, str]
    forks: bool  # False: become the one instance, without a fork


class Fork(Struct, frozen=True, tag=True):
    """Make an instance. With it ride the output file and the open cgroup.procs files it puts itself into."""

    instance: str
    env: dict[str, str]
    link: str
    arena: str
    sockets: str  # folder for its web sockets
    lease_s: float
    threads: int
    sent: float  # seconds since the epoch
    porter: str = ""  # Unix socket to make, that gives connections into the instance's own network


class Kill(Struct, frozen=True, tag=True):
    """Kill what an instance has left behind, and itself."""

    instance: str


class Here(Struct, frozen=True, tag=True):
    """The parent runs, in the surroundings that were made for it, and waits for its Boot."""


class Loaded(Struct, frozen=True, tag=True):
    """The user's code is loaded. `threads` that it started forbid a fork: the next Fork makes this process the instance."""

    phases: dict[str, float]
    threads: list[str] = []


class LoadFailed(Struct, frozen=True, tag=True):
    failure: RemoteFailure


class Forked(Struct, frozen=True, tag=True):
    """The instance runs; its pidfd rides along. `pid` is as seen inside its own pid namespace."""

    instance: str
    pid: int


class Exited(Struct, frozen=True, tag=True):
    """The instance's process has ended; what it left behind is being killed."""

    instance: str
    code: int | None
    signal: int | None


class Gone(Struct, frozen=True, tag=True):
    """Nothing of the instance is left."""

    instance: str


ToParent = Boot | Fork | Kill
FromParent = Here | Loaded | LoadFailed | Forked | Exited | Gone

_encode = msgspec.msgpack.Encoder().encode
_decode_to_parent = msgspec.msgpack.Decoder(ToParent).decode
_decode_from_parent = msgspec.msgpack.Decoder(FromParent).decode


def send(sock: socket.socket, message: Any, fds: tuple[int, ...] = ()) -> None:
    """Send one message with descriptors."""
    body = _encode(message)
    if len(body) <= _PACKET_BYTES:
        socket.send_fds(sock, [_INLINE + body], list(fds))
        return
    memfd = os.memfd_create("freehold-message")
    try:
        with open(memfd, "wb", closefd=False) as file:
            file.write(body)
        socket.send_fds(sock, [_MEMFD], [memfd, *fds])
    finally:
        os.close(memfd)


def receive_to_parent(sock: socket.socket) -> tuple[ToParent, list[int]] | None:
    """Receive what a launcher sent, with its descriptors; None when it hung up."""
    packet = _receive(sock)
    return None if packet is None else (_decode_to_parent(packet[0]), packet[1])


def receive_from_parent(sock: socket.socket) -> tuple[FromParent, list[int]] | None:
    """Receive what a parent sent, with its descriptors; None when it hung up. BlockingIOError when there is nothing."""
    packet = _receive(sock)
    return None if packet is None else (_decode_from_parent(packet[0]), packet[1])


def _receive(sock: socket.socket) -> tuple[bytes, list[int]] | None:
    try:
        data, fds, _, _ = socket.recv_fds(sock, _PACKET_BYTES + 1, _MAX_FDS)
    except ConnectionError:
        return None
    if not data:
        return None
    for fd in fds:
        os.set_inheritable(fd, False)
    if data[:1] == _INLINE:
        return data[1:], fds
    size = os.fstat(fds[0]).st_size
    body = os.pread(fds[0], size, 0)
    os.close(fds[0])
    return body, fds[1:]
