"""Heads in, heads out: what is kept, dropped and added, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.server.ingress.heads import (
    BadRequestError,
    Forwarding,
    Headers,
    RequestHead,
    ResponseHead,
    check_request,
    request_id_of,
    response_head,
    upstream_head,
)

HOST = (b"host", b"x")


def head(
    *headers: tuple[bytes, bytes], method: bytes = b"GET", target: bytes = b"/", version: str = "1.1"
) -> RequestHead:
    return RequestHead(
        method=method, target=target, version=version, headers=list(headers), keep_alive=True, upgrade=False
    )


def sent(request: RequestHead, *, trusted: bool = False, user_code: bool = True) -> list[bytes]:
    check_request(request)
    forwarding = Forwarding(
        request_id=b"rq-1", peer=b"10.0.0.9", trusted=trusted, call=b"fc-1", user_code=user_code,
        private_cookies=frozenset({"freehold_session"}),
    )  # fmt: skip
    return upstream_head(request, forwarding).split(b"\r\n")


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"/a/b?c", b"/a/b?c", b"x"),
        (b"http://other/a?b=/c", b"/a?b=/c", b"other"),
        (b"HTTP://u:p@other:80", b"/", b"other:80"),
        (b"http://other?q", b"/?q", b"other"),
    ],
)
def test_targets_become_paths(target: bytes, path: bytes, host: bytes) -> None:
    request = head(HOST, target=target)
    lines = sent(request)
    assert lines[0] == b"GET " + path + b" HTTP/1.1"
    assert request.host == host
    assert b"host: " + host in lines


@pytest.mark.parametrize("target", [b"*", b"a:80", b"ftp://x/", b"http:///x", b"", b"http://"])
def test_other_targets_are_refused(target: bytes) -> None:
    with pytest.raises(BadRequestError):
        check_request(head(HOST, target=target))


def test_a_caller_cannot_have_the_framing_dropped() -> None:
    lines = sent(
        head(
            HOST,
            (b"content-length", b"3"),
            (b"connection", b"content-length, host, x-a"),
            (b"x-a", b"1"),
            method=b"POST",
        )
    )
    assert b"content-length: 3" in lines
    assert b"host: x" in lines
    assert b"x-a: 1" not in lines


def test_a_trusted_proxy_is_believed_and_added_to() -> None:
    headers = (
        HOST,
        (b"x-forwarded-for", b"1.2.3.4"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"public"),
    )
    believed, not_believed = sent(head(*headers), trusted=True), sent(head(*headers))
    assert b"x-forwarded-for: 1.2.3.4, 10.0.0.9" in believed
    assert b"x-forwarded-proto: https" in believed
    assert b"x-forwarded-host: public" in believed
    assert b"x-forwarded-for: 10.0.0.9" in not_believed
    assert b"x-forwarded-proto: http" in not_believed
    assert b"x-forwarded-host: x" in not_believed
    assert sum(line.startswith(b"x-forwarded-") for line in believed) == 3


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        (b"freehold_session=s", None),
        (b"a=1; freehold_session=s", b"a=1"),
        (b" freehold_session =s; b=2", b"b=2"),
        (b"my_freehold_session=1", b"my_freehold_session=1"),
    ],
)
def test_user_code_never_sees_the_session(cookie: bytes, kept: bytes | None) -> None:
    lines = [line for line in sent(head(HOST, (b"cookie", cookie))) if line.startswith(b"cookie")]
    assert lines == ([] if kept is None else [b"cookie: " + kept])
    assert b"cookie: " + cookie in sent(head(HOST, (b"cookie", cookie)), user_code=False)


@given(st.binary(max_size=200))
def test_only_an_id_that_can_stand_in_a_log_line_is_kept(given_id: bytes) -> None:
    kept = request_id_of(head(HOST, (b"x-request-id", given_id)))
    assert kept in (b"", given_id)
    assert len(kept) <= 128
    assert not set(kept) & set(b"\r\n\0 \"\\<>'{}")


def test_an_answers_hop_headers_stay_behind() -> None:
    headers: Headers = [
        (b"content-type", b"a"),
        (b"connection", b"x-hop, content-length"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"t"),
    ]
    out = response_head(
        ResponseHead(200, b"", [*headers, (b"content-length", b"5")]), b"connection: close\r\n", b"rq-1"
    )
    lines = out.split(b"\r\n")
    assert lines == [
        b"HTTP/1.1 200 OK",
        b"content-type: a",
        b"content-length: 5",
        b"x-request-id: rq-1",
        b"connection: close",
        b"",
        b"",
    ]
