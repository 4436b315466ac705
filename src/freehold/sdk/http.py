"""The control API's client, on the standard library alone, since images have no other."""

import http.client
import json
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from freehold.core.errors import AuthError, InvalidError, ServiceError, VersionError
from freehold.protocol.errors import from_wire
from freehold.protocol.version import ENVIRONMENT_HEADER, PROTOCOL_VERSION, VERSION_HEADER
from freehold.sdk.config import Target, no_server

T = TypeVar("T")
_CHUNK = 1 << 20
Query = Mapping[str, str | int | bool | None]


class Readable(Protocol):
    """What a body is read from."""

    def read(self, size: int = -1, /) -> bytes: ...


class Api:
    """Requests to one server; a connection each, so it may be used from any thread."""

    def __init__(self, target: Target, timeout_s: float | None = 60.0) -> None:
        self.target, self._timeout_s = target, timeout_s

    def get(self, path: str, into: type[T], query: Query | None = None) -> T:
        with self._exchange("GET", _with_query(path, query)) as answer:
            return msgspec.json.decode(answer.read(), type=into)

    def send(self, method: str, path: str, body: object, into: type[T]) -> T:
        with self._exchange(method, path, msgspec.json.encode(body)) as answer:
            return msgspec.json.decode(answer.read(), type=into)

    def act(self, method: str, path: str, body: object = None, *, patient: bool = False) -> None:
        """A request whose answer tells nothing more than that it was done; a patient one has no time limit."""
        data = None if body is None else msgspec.json.encode(body)
        with self._exchange(method, path, data, timeout_s=None if patient else -1.0) as answer:
            answer.read()

    def lines(
        self, method: str, path: str, body: object = None, query: Query | None = None
    ) -> Generator[bytes, None, None]:
        """Lines of a streamed answer, as they come; without a time limit."""
        data = None if body is None else msgspec.json.encode(body)
        with self._exchange(method, _with_query(path, query), data, timeout_s=None) as answer:
            for line in answer:
                if line.strip():
                    yield line

    def upload(
        self, path: str, content: Readable, size: int, query: Query | None = None, *, method: str = "PUT"
    ) -> None:
        with self._exchange(method, _with_query(path, query), content, size=size, timeout_s=None) as answer:
            answer.read()

    def post_bytes(self, path: str, content: Readable, size: int, into: type[T]) -> T:
        """Send bytes by themselves, and read what the answer says of them."""
        with self._exchange("POST", path, content, size=size, timeout_s=None) as answer:
            return msgspec.json.decode(answer.read(), type=into)

    def pieces(self, path: str, query: Query | None = None) -> Generator[bytes, None, None]:
        """Bytes of a streamed answer, as they come; ServiceError when it breaks off."""
        with self._exchange("GET", _with_query(path, query), timeout_s=None) as answer:
            try:
                while piece := answer.read1(_CHUNK):
                    yield piece
            except (OSError, http.client.HTTPException) as error:
                raise no_server(self.target, error or "it broke off in the middle of an answer") from error

    def download(self, path: str) -> Generator[bytes, None, None]:
        with self._exchange("GET", path, timeout_s=None) as answer:
            while chunk := answer.read(_CHUNK):
                yield chunk

    @contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | Readable | None = None,
        *,
        size: int | None = None,
        timeout_s: float | None = -1.0,
    ) -> Generator[http.client.HTTPResponse, None, None]:
        connection, prefix = _connect(self.target, self._timeout_s if timeout_s == -1.0 else timeout_s)
        headers = {"Authorization": f"Bearer {self.target.token}", VERSION_HEADER: str(PROTOCOL_VERSION)}
        if self.target.environment:
            headers[ENVIRONMENT_HEADER] = self.target.environment
        if body is not None:
            headers["Content-Type"] = "application/json" if isinstance(body, bytes) else "application/octet-stream"
            headers["Content-Length"] = str(len(body) if isinstance(body, bytes) else size)
        try:
            answer = self._ask(connection, lambda: connection.request(method, prefix + path, body, headers))
            self._check(answer)
            yield answer
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, request: Callable[[], None]) -> http.client.HTTPResponse:
        try:
            request()
            return connection.getresponse()
        except TimeoutError as error:
            msg = f"the server at {self.target.api} did not answer within {self._timeout_s:g} s"
            raise ServiceError(msg) from error
        except (BrokenPipeError, ConnectionResetError) as error:
            # it may have answered already, without reading all of what we sent
            try:
                return connection.getresponse()
            except (OSError, http.client.HTTPException):
                raise no_server(self.target, error) from error
        except (OSError, http.client.HTTPException) as error:
            raise no_server(self.target, error) from error

    def _check(self, answer: http.client.HTTPResponse) -> None:
        check_version(answer.headers.get(VERSION_HEADER))
        if answer.status >= 400:
            raise refusal(self.target, answer.status, answer.reason, answer.read())


def check_version(theirs: str | None) -> None:
    if theirs is not None and theirs != str(PROTOCOL_VERSION):
        raise version_error(theirs)


def refusal(target: Target, status: int, reason: str, data: bytes) -> Exception:
    """The error that an answer of 400 or above tells of."""
    error = _read_error(status, reason, data)
    return auth_error(target, str(error)) if status == http.HTTPStatus.UNAUTHORIZED else error


def segment(value: str) -> str:
    """One path segment, escaped. A name with a slash would be several, whatever the escape."""
    if not value or "/" in value:
        raise InvalidError(f"{value!r} cannot be a name or an id: those have a letter at least, and no '/'")
    return quote(value, safe="")


def version_error(theirs: object) -> VersionError:
    return VersionError(
        f"this client speaks protocol {PROTOCOL_VERSION} and the server speaks {theirs}: install the same version of "
        f"freehold on both sides, and restart the server with `freehold down` and `freehold up --detach`"
    )


def auth_error(target: Target, detail: str) -> AuthError:
    return AuthError(f"the server does not accept the token from {target.token_source}: {detail}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("localhost", blocksize=_CHUNK)
        self._path, self._timeout_s = path, timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(self._path)


def _connect(target: Target, timeout_s: float | None) -> tuple[http.client.HTTPConnection, str]:
    if target.api.startswith("unix:"):
        return _UnixConnection(target.api.removeprefix("unix:"), timeout_s), ""
    url = urlsplit(target.api)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.netloc, timeout=timeout_s, blocksize=_CHUNK), url.path.rstrip("/")


def _with_query(path: str, query: Query | None) -> str:
    pairs = {k: str(v).lower() if isinstance(v, bool) else v for k, v in (query or {}).items() if v is not None}
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _read_error(status: int, reason: str, data: bytes) -> Exception:
    try:
        body: dict[str, Any] = json.loads(data)["error"]
        return from_wire(str(body["code"]), str(body["message"]), body.get("type"))
    except (ValueError, KeyError, TypeError):
        text = data[:200].decode(errors="replace").strip()
        return ServiceError(f"the server answered {status} {reason}: {text or 'no explanation'}")
