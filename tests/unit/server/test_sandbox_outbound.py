"""The way out of a sandbox with allowlists: which addresses, and the very one that was checked."""

import asyncio
import ipaddress
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from freehold.core.errors import InvalidError
from freehold.server.sandboxes import outbound
from freehold.server.sandboxes.outbound import Allowed, Outbound

PUBLIC, PRIVATE, METADATA = "93.184.216.34", "10.1.2.3", "169.254.169.254"


@pytest.mark.parametrize(
    ("cidrs", "domains", "name", "address", "allowed"),
    [
        (None, ("example.com",), "example.com", PUBLIC, True),
        (None, ("example.com",), "EXAMPLE.com.", PUBLIC, True),
        (None, ("example.com",), "www.example.com", PUBLIC, False),
        (None, ("*.example.com",), "a.b.example.com", PUBLIC, True),
        (None, ("*.example.com",), "example.com", PUBLIC, True),
        (None, ("*.example.com",), "badexample.com", PUBLIC, False),
        (None, ("*",), "anything.org", PUBLIC, True),
        (None, ("*",), "anything.org", "127.0.0.1", False),  # a name that leads inside
        (None, ("example.com",), "example.com", PRIVATE, False),
        (None, ("example.com",), "example.com", METADATA, False),
        (None, ("example.com",), "example.com", "::ffff:127.0.0.1", False),
        (None, ("example.com",), "example.com", "224.0.0.1", False),
        (("10.0.0.0/8",), ("example.com",), "example.com", PRIVATE, True),
        (("10.0.0.0/8",), None, "inside.test", "::ffff:10.0.0.1", True),
        (("10.0.0.0/8",), None, "inside.test", PUBLIC, False),
        (("2001:db8::/32",), None, "", "2001:db8::1", True),
        ((), (), "example.com", PUBLIC, False),
        (None, ("*",), "", PUBLIC, True),
        (None, ("example.com",), "", PUBLIC, False),  # an address is no name
    ],
)
def test_what_may_be_connected_to(
    cidrs: tuple[str, ...] | None, domains: tuple[str, ...] | None, name: str, address: str, allowed: bool
) -> None:
    assert Allowed.of(cidrs, domains).address(name, ipaddress.ip_address(address)) is allowed


@pytest.mark.parametrize(
    ("cidrs", "domains", "said"),
    [
        (("ten",), None, "'ten' is no network"),
        (None, ("http://x.com",), "'http://x.com' is no domain"),
        (None, ("a.*.com",), "is no domain"),
        (None, ("*.",), "is no domain"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(
    cidrs: tuple[str, ...] | None, domains: tuple[str, ...] | None, said: str
) -> None:
    with pytest.raises(InvalidError, match=said.replace("*", r"\*")):
        outbound.check(cidrs, domains)


@asynccontextmanager
async def _proxy(allowed: Allowed, **names: str) -> AsyncGenerator[Path]:
    async def resolve(host: str, _: int) -> list[str]:
        if host not in names:
            raise OSError(host)
        return [names[host]]

    with tempfile.TemporaryDirectory(prefix="out") as folder:
        one = Outbound(allowed, Path(folder) / "s", resolve=resolve)
        await one.open()
        yield Path(folder) / "s/proxy.sock"
        await one.close()


async def _ask(path: Path, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


@asynccontextmanager
async def _service() -> AsyncGenerator[tuple[int, list[bytes]]]:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], heard
    server.close()
    await server.wait_closed()


async def test_an_allowed_target_is_reached_both_ways() -> None:
    async with _service() as (port, heard), _proxy(Allowed.of(("127.0.0.0/8",), None), inside="127.0.0.1") as path:
        tunnelled = await _ask(path, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\n".encode())
        plain = await _ask(
            path, f"GET http://inside:{port}/b?c=d HTTP/1.1\r\nHost: inside\r\nProxy-Authorization: x\r\n\r\n".encode()
        )
    assert tunnelled.startswith(b"HTTP/1.1 200 OK\r\n\r\n")
    assert tunnelled.endswith(b"hello")
    assert plain.endswith(b"hello")
    assert heard[1] == b"GET /b?c=d HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n\r\n"


async def test_what_is_on_no_list_is_refused_before_a_connection() -> None:
    async with _service() as (port, heard), _proxy(Allowed.of(None, ("*",)), rebound="127.0.0.1") as path:
        for target in (f"127.0.0.1:{port}", f"rebound:{port}", f"unknown:{port}", f"[::1]:{port}"):
            assert b"403 Forbidden" in await _ask(path, f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    assert heard == []


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT nowhere HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"GET file:///etc/passwd HTTP/1.1\r\n\r\n",
    ],
)
async def test_garbage_is_refused(request_: bytes) -> None:
    async with _proxy(Allowed.of(None, ("*",))) as path:
        assert b"400 Bad Request" in await _ask(path, request_)


async def test_a_head_without_end_is_cut_off() -> None:
    async with _proxy(Allowed.of(None, ("*",))) as path:
        assert await _ask(path, b"GET " + os.urandom(10).hex().encode() * 10_000) == b""
