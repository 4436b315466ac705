"""Heads of HTTP/1.1 messages: what is read, what is dropped on the way, what is added. Bytes in, bytes out."""

import re
import string
from dataclasses import dataclass, field
from http import HTTPStatus

Headers = list[tuple[bytes, bytes]]

# RFC 9110, 7.6.1; `trailer` goes on, since trailers do. `http2-settings` belongs to an upgrade that we do not take.
HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
    b"transfer-encoding", b"upgrade", b"http2-settings",
})  # fmt: skip
_FORWARDED = frozenset({b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"x-real-ip"})
_ALWAYS = HOP_BY_HOP | {b"x-request-id", b"x-forwarded-for", b"x-freehold-call", b"x-freehold-instance"}
_PROXY_AUTH = frozenset({b"modal-key", b"modal-secret", b"freehold-key", b"freehold-secret"})
_NONE: frozenset[bytes] = frozenset()
_DROPPED = {  # by (trusted, user_code)
    (trusted, user_code): _ALWAYS | (_NONE if trusted else _FORWARDED) | (_PROXY_AUTH if user_code else _NONE)
    for trusted in (False, True)
    for user_code in (False, True)
}
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)([^#]*)", re.IGNORECASE)
# RFC 3986, 3.2: a name or an address, and a port
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::[0-9]*)?")
_HEADERS_MAX = 256
_FIELDS_MAX_BYTES = 64 * 1024
_ID_CHARACTERS = frozenset((string.ascii_letters + string.digits + "-_.:/+=").encode())
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(slots=True)
class RequestHead:
    """A request's head as it came; names are lower-case."""

    method: bytes
    target: bytes
    version: str  # 1.0 or 1.1
    headers: Headers
    keep_alive: bool
    upgrade: bool  # asks for a WebSocket
    chunked: bool = False
    length: int | None = None  # None: chunked, or no body
    host: bytes = b""

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.length)

    def get(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key == name), b"")


@dataclass(slots=True)
class ResponseHead:
    status: int
    reason: bytes
    headers: Headers
    chunked: bool = False
    length: int | None = None
    keep_alive: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Forwarding:
    """What is added to a request on its way upstream."""

    request_id: bytes
    peer: bytes  # the caller's address
    trusted: bool = False  # the caller is a proxy whose X-Forwarded-* we believe
    call: bytes = b""
    user_code: bool = False  # goes to an instance: keep the platform's own credentials from it
    private_cookies: frozenset[str] = field(default=frozenset())


class BadRequestError(Exception):
    """The request's head cannot be accepted; `status` says how that is answered."""

    def __init__(self, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


def check_size(size: int) -> None:
    """Bound the bytes of a request's target and header fields, or of its trailers."""
    if size > _FIELDS_MAX_BYTES:
        msg = f"a request's target and header fields may be {_FIELDS_MAX_BYTES} bytes long together"
        raise BadRequestError(msg, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


def check_request(head: RequestHead, size: int = 0) -> None:
    """Fill in what the head means and refuse what is ambiguous, since two readers of it could differ."""
    check_size(size)
    if head.version not in ("1.0", "1.1"):
        msg = f"HTTP/{head.version} is not spoken here; send HTTP/1.1"
        raise BadRequestError(msg, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    hosts: list[bytes] = []
    for name, value in head.headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            head.length = int(value)
        elif name == b"transfer-encoding":
            head.chunked = True
            if value.strip().lower() != b"chunked" or head.version != "1.1":
                msg = f"transfer-encoding {value.decode('latin-1')!r} is not supported; send chunked over HTTP/1.1, or a content-length"
                raise BadRequestError(msg, HTTPStatus.NOT_IMPLEMENTED)
    websocket = head.upgrade and head.get(b"upgrade").lower() == b"websocket"
    head.upgrade = websocket and head.method == b"GET" and not head.has_body
    if len(head.headers) > _HEADERS_MAX:
        msg = f"a request may have {_HEADERS_MAX} headers; this one has {len(head.headers)}"
        raise BadRequestError(msg, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if len(hosts) > 1 or (not hosts and head.version == "1.1"):
        msg = f"a request needs exactly one host header; this one has {len(hosts)}"
        raise BadRequestError(msg)
    head.host = hosts[0] if hosts else b""
    _origin_form(head)
    if not _HOST.fullmatch(head.host):
        msg = f"host {head.host[:100].decode('latin-1')!r} is not a name or an address"
        raise BadRequestError(msg)


def _origin_form(head: RequestHead) -> None:
    target = head.target
    if target.startswith(b"/") or (target == b"*" and head.method == b"OPTIONS"):
        return
    absolute = _ABSOLUTE.fullmatch(target)
    if head.method == b"CONNECT" or absolute is None:
        msg = f"the request target {target[:100].decode('latin-1')!r} is not a path"
        raise BadRequestError(msg)
    head.host, path = absolute.group(1).rpartition(b"@")[2], absolute.group(2)
    head.target = path if path.startswith(b"/") else b"/" + path
    head.headers = [(n, head.host if n == b"host" else v) for n, v in head.headers]


def request_id_of(head: RequestHead) -> bytes:
    """The caller's `x-request-id` where it can stand in a log line, else nothing."""
    given = head.get(b"x-request-id")
    return given if 0 < len(given) <= 128 and _ID_CHARACTERS.issuperset(given) else b""


def upstream_head(head: RequestHead, forwarding: Forwarding) -> bytes:
    """The head as it is sent on."""
    dropped = _dropped(head, forwarding)
    parts = [head.method, b" ", head.target, b" HTTP/1.1\r\n"]
    for name, value in head.headers:
        if name in dropped or (name == b"host" and not value):
            continue
        if name == b"cookie" and forwarding.user_code:
            value = _without(value, forwarding.private_cookies)  # noqa: PLW2901
            if not value:
                continue
        parts += (name, b": ", value, b"\r\n")
    if not head.host:
        parts.append(b"host: localhost\r\n")
    if head.upgrade:
        parts.append(b"connection: upgrade\r\nupgrade: websocket\r\n")
    if head.chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
    parts += _forwarded(head, forwarding)
    parts.append(b"\r\n")
    return b"".join(parts)


def _dropped(head: RequestHead, forwarding: Forwarding) -> frozenset[bytes]:
    dropped = _DROPPED[forwarding.trusted, forwarding.user_code]
    named = b",".join(value for name, value in head.headers if name == b"connection").lower()
    if named and named not in (b"keep-alive", b"close", b"upgrade"):
        # a caller cannot have the framing or the host dropped by naming them here
        dropped |= {n.strip() for n in named.split(b",")} - {b"content-length", b"host"}
    return dropped


def _forwarded(head: RequestHead, forwarding: Forwarding) -> list[bytes]:
    before = head.get(b"x-forwarded-for") if forwarding.trusted else b""
    chain = before + b", " + forwarding.peer if before else forwarding.peer
    lines = [b"x-request-id: ", forwarding.request_id, b"\r\nx-forwarded-for: ", chain, b"\r\n"]
    if not (forwarding.trusted and head.get(b"x-forwarded-proto")):
        lines.append(b"x-forwarded-proto: http\r\n")
    if head.host and not (forwarding.trusted and head.get(b"x-forwarded-host")):
        lines += (b"x-forwarded-host: ", head.host, b"\r\n")
    if forwarding.call:
        lines += (b"x-freehold-call: ", forwarding.call, b"\r\n")
    return lines


def _without(cookies: bytes, names: frozenset[str]) -> bytes:
    kept = [c for c in cookies.split(b";") if c.partition(b"=")[0].strip().decode("latin-1") not in names]
    return b";".join(kept).strip()


def response_head(head: ResponseHead, framing: bytes, request_id: bytes) -> bytes:
    """The head as it goes to the caller; `framing` are the header lines that say how the body ends."""
    reason = head.reason or _REASONS.get(head.status, b"")
    parts = [b"HTTP/1.1 %d " % head.status, reason, b"\r\n"]
    dropped = HOP_BY_HOP
    named = next((v for n, v in head.headers if n == b"connection"), b"").lower()
    if named and named not in (b"keep-alive", b"close"):
        dropped = HOP_BY_HOP | {n.strip() for n in named.split(b",")} - {b"content-length"}
    for name, value in head.headers:
        if name == b"x-request-id":
            request_id = b""
        if name not in dropped:
            parts += (name, b": ", value, b"\r\n")
    if request_id:
        parts += (b"x-request-id: ", request_id, b"\r\n")
    parts += (framing, b"\r\n")
    return b"".join(parts)
