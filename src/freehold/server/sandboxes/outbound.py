"""The one way out of a sandbox that may connect to some places only: an HTTP proxy that checks the very address it connects to."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from freehold.core.errors import InvalidError
from freehold.server.sandboxes.connections import Connections, join

log = logging.getLogger("freehold.outbound")
_HEAD_BYTES, _CONNECT_S, _HEAD_S = 16_384, 20.0, 30.0
_CONNECTIONS = 256
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What may be connected to. A name that is allowed leads to public addresses only, unless its address is allowed too."""

    networks: tuple[Network, ...] = ()
    domains: tuple[str, ...] = ()

    @classmethod
    def of(cls, cidrs: tuple[str, ...] | None, domains: tuple[str, ...] | None) -> "Allowed":
        return cls(
            networks=tuple(_network(c) for c in cidrs or ()),
            domains=tuple(d.lower().rstrip(".") for d in domains or ()),
        )

    def address(self, name: str, address: Address) -> bool:
        """Whether one may connect to this address, of this name."""
        plain = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped else address
        if any(plain in n for n in self.networks if n.version == plain.version):
            return True
        return plain.is_global and not plain.is_multicast and self._names(name)

    def _names(self, name: str) -> bool:
        plain = name.lower().rstrip(".")
        return any(d in ("*", plain) or (d.startswith("*.") and f".{plain}".endswith(d[1:])) for d in self.domains)


class Outbound:
    """Listens on a Unix socket in a folder that the sandbox sees."""

    def __init__(self, allowed: Allowed, folder: Path, *, resolve: Resolve | None = None) -> None:
        self._allowed, self._folder, self._resolve = allowed, folder, resolve or _resolve
        self._server: asyncio.Server | None = None
        self._connections = Connections()

    async def open(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._folder / "proxy.sock", limit=_HEAD_BYTES)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._connections.end()
        with contextlib.suppress(OSError):
            (self._folder / "proxy.sock").unlink()
            self._folder.rmdir()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._connections.served(writer):
            try:
                if len(self._connections) > _CONNECTIONS:
                    await _answer(writer, "503 Service Unavailable", "too many connections at once")
                else:
                    await self._exchange(reader, writer)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, UnicodeError):
                pass  # either side left, or what it sent is no request
            except Exception:
                log.exception("outbound_failed")

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        try:
            method, target, version = line.decode("ascii").split(" ")
            host, port, path = _target(method, target)
        except ValueError:
            await _answer(writer, "400 Bad Request", "this proxy takes CONNECT host:port, and http:// URLs")
            return
        address = await self._choose(host, port)
        if address is None:
            await _answer(
                writer,
                "403 Forbidden",
                f"this sandbox may not connect to {host}:{port}: it is on none of its allowlists",
            )
            return
        try:
            async with asyncio.timeout(_CONNECT_S):
                theirs_in, theirs_out = await asyncio.open_connection(address, port)
        except (OSError, TimeoutError):
            await _answer(writer, "502 Bad Gateway", f"{host}:{port} takes no connections")
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            theirs_out.write(f"{method} {path} {version}\r\n".encode() + _plain(rest))
        await join((reader, writer), (theirs_in, theirs_out))

    async def _choose(self, host: str, port: int) -> str | None:
        """The address to connect to: looked up once, and checked itself, so that a name cannot mean another one later."""
        with contextlib.suppress(ValueError):
            literal = ipaddress.ip_address(host)
            return str(literal) if self._allowed.address("", literal) else None
        try:
            found = await self._resolve(host, port)
        except OSError:
            return None
        return next((a for a in found if self._allowed.address(host, ipaddress.ip_address(a))), None)


def check(cidrs: tuple[str, ...] | None, domains: tuple[str, ...] | None) -> None:
    """Raise InvalidError for a list that cannot be meant."""
    Allowed.of(cidrs, domains)
    for domain in domains or ():
        plain = domain.removeprefix("*.")
        if domain != "*" and (not plain or "*" in plain or any(c in plain for c in "/: @") or plain.startswith(".")):
            raise InvalidError(
                f"outbound_domain_allowlist: {domain!r} is no domain: give 'example.com', '*.example.com' or '*'"
            )


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidError(
            f"outbound_cidr_allowlist: {text!r} is no network: {error}; give one such as '10.0.0.0/8'"
        ) from None


def _target(method: str, target: str) -> tuple[str, int, str]:
    if method == "CONNECT":
        parts = urlsplit(f"//{target}")
        if parts.hostname is None or parts.port is None:
            raise ValueError(target)
        return parts.hostname, parts.port, ""
    parts = urlsplit(target)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(target)
    return parts.hostname, parts.port or 80, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _plain(rest: bytes) -> bytes:
    """Headers for the server itself: one request a connection, or the next could name another host."""
    kept = [line for line in rest.split(b"\r\n") if line and not line.lower().startswith((b"proxy-", b"connection:"))]
    return b"\r\n".join([*kept, b"Connection: close", b"", b""])


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]).partition("%")[0] for info in found]


async def _answer(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = f"{text}\n".encode()
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    await writer.drain()
