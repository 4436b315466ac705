"""Requests and answers through a real ingress to a real upstream."""

import asyncio
import hashlib
import json
import os
import socket
from typing import Any

import httpx
import pytest

from freehold.core.errors import ConflictError

CLOSE = b"connection: close\r\n"


async def test_a_request_comes_through_as_it_was_sent(stage: Any) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(
            f"{stage.url}/a%2Fb/%252e%252e?q=1&q=%20",
            headers={"x-own": "1", "traceparent": "00-aa-bb-01", "x-request-id": "mine"},
        )
    got = answer.json()
    headers = dict(got["headers"])
    assert got["target"] == "/a%2Fb/%252e%252e?q=1&q=%20"
    assert headers["host"] == f"127.0.0.1:{stage.port}"
    assert (headers["x-own"], headers["traceparent"], headers["x-request-id"]) == ("1", "00-aa-bb-01", "mine")
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-host"] == headers["host"]
    assert headers["x-freehold-call"] == "fc-0"
    assert answer.headers["x-request-id"] == "mine"
    await stage.until(lambda: stage.records)
    record = stage.records[0]
    assert (record.method, record.handler, record.status, record.request_id, record.call) == (
        "GET",
        "ocr",
        200,
        "mine",
        "fc-0",
    )
    assert [o.kind for o in stage.router.outcomes] == ["ok"]


async def test_what_belongs_to_the_hop_or_to_us_stays_behind(stage: Any) -> None:
    await stage.send(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nProxy-Authorization: p\r\n"
        b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\nX-Freehold-Call: fc-forged\r\n"
        b"Cookie: a=1; freehold_session=secret; b=2\r\nModal-Secret: s\r\nx-request-id: bad id\x01\r\n\r\n".replace(
            b"\x01", b""
        )
    )
    headers = stage.seen[0]
    for name in ("x-hop", "te", "proxy-authorization", "forwarded", "modal-secret"):
        assert name not in headers
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-host"] == "x"
    assert headers["x-freehold-call"] == "fc-0"
    assert "secret" not in headers["cookie"]
    assert "a=1" in headers["cookie"]
    assert "b=2" in headers["cookie"]
    assert headers["x-request-id"].startswith("rq-")  # the one given has a space


async def test_the_session_goes_to_the_control_api_alone(stage: Any) -> None:
    async with httpx.AsyncClient(cookies={"freehold_session": "s"}) as client:
        await client.get(f"http://127.0.0.1:{stage.ingress.port}/")
        await client.get(stage.url)
    assert stage.seen[0]["cookie"] == "freehold_session=s"
    assert "cookie" not in stage.seen[1]
    assert "x-freehold-call" not in stage.seen[0]


async def test_a_label_under_localhost_is_an_endpoint_on_the_main_port(stage: Any) -> None:
    main = stage.ingress.port
    async with httpx.AsyncClient() as client:
        good = await client.get(f"http://127.0.0.1:{main}/x", headers={"host": f"OCR.localhost:{main}"})
        bad = await client.get(f"http://127.0.0.1:{main}/x", headers={"host": "nothing.localhost"})
    assert dict(good.json()["headers"])["x-freehold-call"] == "fc-0"
    assert bad.status_code == 404
    assert bad.json()["error"]["code"] == "not_found"
    assert "nothing.localhost" in bad.json()["error"]["message"]


@pytest.mark.parametrize("size", [0, 1, 65_536, 20_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_go_both_ways_whole(stage: Any, size: int, chunked: bool) -> None:
    data = os.urandom(size)
    head = b"POST /%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    framing = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % size
    body = [data[start : start + 100_000] for start in range(0, size, 100_000)]
    if chunked:
        body = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body] + [b"0\r\n\r\n"]
    answer = dechunked(await stage.send(head % b"echo" + framing, *body))
    assert answer == data
    told = await stage.send(head % b"digest" + framing, *body)
    assert hashlib.sha256(data).hexdigest().encode() in told
    assert b'"bytes":%d}' % size in told


def dechunked(answer: bytes) -> bytes:
    """The body of a chunked answer."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    body = bytearray()
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return bytes(body)


async def test_head_and_bodiless_answers_keep_the_connection(stage: Any) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(3):
            head = await client.head(f"{stage.url}/x")
            assert head.status_code == 200
            assert int(head.headers["content-length"]) > 0
            for code in (204, 304):
                assert (await client.get(f"{stage.url}/status/{code}")).status_code == code
            assert (await client.get(f"{stage.url}/status/404")).content == b"body"


async def test_pipelined_requests_are_answered_in_order(stage: Any) -> None:
    raw = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(20))
    answer = await stage.send(raw + b"GET /last HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
    places = [answer.index(b'"target":"/%d"' % n) for n in range(20)]
    assert places == sorted(places)
    assert answer.rindex(b'"/last"') > places[-1]


async def test_http_1_0_gets_an_answer_that_ends_with_the_connection(stage: Any) -> None:
    answer = await stage.send(b"GET /events?n=3&every=0.01 HTTP/1.0\r\n\r\n")
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"data: 0\n\ndata: 1\n\ndata: 2\n\n")


async def test_absolute_targets_and_foreign_upgrades_are_read_as_plain_requests(stage: Any) -> None:
    absolute = await stage.send(b"GET http://example.org/p?q=1 HTTP/1.1\r\nHost: other\r\n" + CLOSE + b"\r\n")
    assert b'"target":"/p?q=1"' in absolute
    assert stage.seen[0]["host"] == "example.org"
    upgrade = await stage.send(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 5\r\n\r\nhel",
        b"loGET /next HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n",
        pause_s=0.05,
    )
    assert b"3\r\nhel\r\n2\r\nlo\r\n0\r\n" in upgrade
    assert b'"target":"/next"' in upgrade


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET ftp://x/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(300)) + b"\r\n", 431),
    ],
)
async def test_ambiguous_and_broken_requests_are_refused_and_hung_up_on(stage: Any, raw: bytes, status: int) -> None:
    answer = await stage.send(raw)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in answer
    assert not stage.router.leases


@pytest.mark.parametrize(
    "body", [b"-3\r\nabc\r\n", b"3\nabc\n0\n\n", b"ffffffffffffffffff\r\nabc", b"3\r\nabcd\r\n", b"0x3\r\nabc\r\n"]
)
async def test_a_body_that_is_framed_wrongly_is_refused(stage: Any, body: bytes) -> None:
    answer = await stage.send(
        b"POST /digest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", body, pause_s=0.05
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer


async def test_endless_trailers_are_refused(stage: Any) -> None:
    trailers = b"".join(b"t%d: %b\r\n" % (n, b"y" * 1000) for n in range(100))
    answer = await stage.send(b"POST /digest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers)
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_what_came_whole_before_garbage_is_answered(stage: Any) -> None:
    answer = await stage.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n")
    first, second = answer.index(b'"target":"/first"'), answer.index(b"HTTP/1.1 400 ")
    assert first < second


async def test_refusals_are_told_as_errors_and_recorded(stage: Any) -> None:
    answer = await stage.send(b"NONSENSE\r\n\r\n")
    fault = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert fault["message"] == "what was sent is not HTTP/1.1"
    assert stage.records[0].status == 400
    assert stage.records[0].request_id == fault["request_id"]


@pytest.mark.parametrize(
    "body", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
async def test_only_a_get_without_a_body_becomes_a_websocket(stage: Any, body: bytes) -> None:
    upgrade = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    answer = await stage.send(
        b"POST /digest HTTP/1.1\r\n" + upgrade + body + b"GET /next HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n"
    )
    assert b'"bytes":3}' in answer
    assert b'"target":"/next"' in answer


async def test_a_slow_head_times_out(stage: Any) -> None:
    answer = await stage.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow")
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed(stage: Any) -> None:
    assert await stage.send(b"") == b""
    await stage.until(lambda: stage.ingress.connections == 0)


async def test_expect_continue_is_settled_with_the_instance(stage: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue\r\n")
        writer.write(b"hello")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert b'"bytes":5}' in await reader.readuntil(b"}")
    writer.close()


async def test_an_early_refusal_reaches_a_sender_that_has_not_finished(stage: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1_000_000)
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert answer.endswith(b"too large")
    writer.close()


async def test_trailers_and_interim_answers_pass(stage: Any) -> None:
    got: list[bytes] = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        got.append(await reader.readuntil(b"0\r\nx-sum: 1\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n"
        )
        writer.write(b"2\r\nhi\r\n0\r\nx-end: 7\r\n\r\n")
        writer.close()

    async with stage.script(upstream):
        answer = await stage.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n"
            + CLOSE
            + b"\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
        )
    assert got[1].startswith(b"3\r\nabc\r\n")
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n")
    assert b"HTTP/1.1 200 Fine\r\n" in answer
    assert answer.endswith(b"2\r\nhi\r\n0\r\nx-end: 7\r\n\r\n")


async def test_a_port_in_use_is_said_so(stage: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConflictError, match=f"port {port} .* in use"):
            await stage.ingress.listen(port)


async def test_unlisten_frees_the_port(stage: Any) -> None:
    await stage.ingress.unlisten(stage.port)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", stage.port)
    assert await stage.ingress.listen(stage.port) == stage.port
