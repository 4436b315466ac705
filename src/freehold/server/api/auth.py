"""Who may call what: the authorisation table, tokens, signed sessions. The gatekeeper applies it to the matched route."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from freehold.core.errors import AuthError

SESSION_COOKIE = "freehold_session"
SESSION_S = 14 * 24 * 3600.0
CODE_S = 600.0
_CODES_MAX = 100


class Access(StrEnum):
    PUBLIC = "public"  # nobody in particular
    CLIENT = "client"  # the token, a session, or an instance's token
    ADMIN = "admin"  # the token or a session
    LOCAL = "local"  # public while the server is bound to loopback only, else admin


# Every route of the application stands here, by method and template; what does not is refused.
TABLE: Mapping[str, Access] = {
    "GET /livez": Access.PUBLIC,
    "GET /readyz": Access.PUBLIC,
    "GET /startupz": Access.PUBLIC,
    "GET /health": Access.PUBLIC,
    "GET /healthz": Access.PUBLIC,
    "GET /login": Access.PUBLIC,
    "POST /login": Access.PUBLIC,
    "POST /logout": Access.ADMIN,
    "POST /v1/login/codes": Access.ADMIN,
    "GET /metrics": Access.LOCAL,
    "GET /docs": Access.ADMIN,
    "GET /openapi.json": Access.ADMIN,
    "GET /v1/status": Access.CLIENT,
    "GET /v1/events": Access.ADMIN,
    "POST /v1/shutdown": Access.ADMIN,
    "GET /v1/environments": Access.CLIENT,
    "PUT /v1/environments/{name}": Access.ADMIN,
    "DELETE /v1/environments/{name}": Access.ADMIN,
    "GET /v1/apps": Access.CLIENT,
    "POST /v1/apps": Access.CLIENT,  # of an instance only what has no functions
    "POST /v1/apps/check": Access.ADMIN,
    "GET /v1/apps/{app}": Access.CLIENT,
    "POST /v1/apps/{app}/stop": Access.ADMIN,
    "GET /v1/apps/{app}/history": Access.CLIENT,
    "POST /v1/apps/{app}/rollback": Access.ADMIN,
    "PUT /v1/apps/{app}/tags": Access.ADMIN,
    "GET /v1/functions/{function}": Access.CLIENT,
    "GET /v1/apps/{app}/terminal": Access.ADMIN,
    "POST /v1/apps/{app}/terminal": Access.ADMIN,
    "POST /v1/terminal": Access.CLIENT,
    "GET /v1/functions/{app}/{function}": Access.CLIENT,
    "POST /v1/functions/{app}/{function}/call": Access.CLIENT,
    "POST /v1/functions/{app}/{function}/{method}/call": Access.CLIENT,
    "POST /v1/pools/variants": Access.CLIENT,
    "POST /v1/pools/scaling": Access.CLIENT,
    "POST /v1/pools/stats": Access.CLIENT,
    "GET /v1/calls": Access.CLIENT,
    "GET /v1/calls/{call}": Access.CLIENT,
    "GET /v1/calls/{call}/graph": Access.CLIENT,
    "POST /v1/calls/{call}/cancel": Access.CLIENT,
    "GET /v1/calls/{call}/result": Access.CLIENT,
    "GET /v1/instances": Access.CLIENT,
    "GET /v1/instances/{instance}": Access.CLIENT,
    "POST /v1/instances/{instance}/stop": Access.ADMIN,
    "POST /v1/instances/{instance}/tunnels": Access.CLIENT,
    "DELETE /v1/instances/{instance}/tunnels/{port}": Access.CLIENT,
    "POST /v1/instances/{instance}/commands": Access.ADMIN,  # an instance enters no other
    "GET /v1/instances/{instance}/commands/{command}": Access.ADMIN,
    "GET /v1/instances/{instance}/commands/{command}/{pipe}": Access.ADMIN,
    "POST /v1/instances/{instance}/commands/{command}/stdin": Access.ADMIN,
    "POST /v1/instances/{instance}/commands/{command}/signal": Access.ADMIN,
    "POST /v1/instances/{instance}/commands/{command}/size": Access.ADMIN,
    "GET /v1/sandboxes": Access.CLIENT,
    "POST /v1/sandboxes": Access.CLIENT,
    "GET /v1/sandboxes/{sandbox}": Access.CLIENT,
    "GET /v1/sandboxes/{sandbox}/wait": Access.CLIENT,
    "POST /v1/sandboxes/{sandbox}/terminate": Access.CLIENT,
    "PUT /v1/sandboxes/{sandbox}/tags": Access.CLIENT,
    "GET /v1/sandboxes/{sandbox}/tunnels": Access.CLIENT,
    "POST /v1/sandboxes/{sandbox}/snapshot": Access.CLIENT,
    "POST /v1/sandboxes/{sandbox}/commands": Access.CLIENT,
    "GET /v1/sandboxes/{sandbox}/commands/{command}": Access.CLIENT,
    "GET /v1/sandboxes/{sandbox}/commands/{command}/{pipe}": Access.CLIENT,
    "POST /v1/sandboxes/{sandbox}/commands/{command}/stdin": Access.CLIENT,
    "POST /v1/sandboxes/{sandbox}/commands/{command}/signal": Access.CLIENT,
    "POST /v1/sandboxes/{sandbox}/commands/{command}/size": Access.CLIENT,
    "POST /v1/images": Access.ADMIN,
    "GET /v1/images": Access.CLIENT,
    "POST /v1/images/prune": Access.ADMIN,
    "GET /v1/images/{ref}": Access.CLIENT,
    "GET /v1/images/{ref}/log": Access.CLIENT,
    "POST /v1/images/{ref}/names": Access.ADMIN,
    "DELETE /v1/images/{ref}": Access.ADMIN,
    "GET /v1/logs": Access.CLIENT,
    "GET /v1/secrets": Access.ADMIN,
    "GET /v1/secrets/{name}": Access.ADMIN,
    "PUT /v1/secrets/{name}": Access.ADMIN,
    "PATCH /v1/secrets/{name}": Access.ADMIN,
    "DELETE /v1/secrets/{name}": Access.ADMIN,
    "GET /v1/volumes": Access.CLIENT,
    "GET /v1/volumes/{name}": Access.CLIENT,
    "PUT /v1/volumes/{name}": Access.CLIENT,
    "DELETE /v1/volumes/{name}": Access.CLIENT,
    "POST /v1/volumes/{name}/rename": Access.CLIENT,
    "POST /v1/volumes/{name}/copy": Access.CLIENT,
    "GET /v1/volumes/{name}/list": Access.CLIENT,
    "GET /v1/volumes/{name}/files/{path:path}": Access.CLIENT,
    "PUT /v1/volumes/{name}/files/{path:path}": Access.CLIENT,
    "DELETE /v1/volumes/{name}/files/{path:path}": Access.CLIENT,
    "POST /v1/buckets/refresh": Access.CLIENT,
    "POST /v1/buckets/store": Access.CLIENT,
    "GET /v1/dicts": Access.CLIENT,
    "POST /v1/dicts": Access.CLIENT,
    "GET /v1/dicts/{dict}": Access.CLIENT,
    "DELETE /v1/dicts/{dict}": Access.CLIENT,
    "POST /v1/dicts/{dict}/heartbeat": Access.CLIENT,
    "POST /v1/dicts/{dict}/get": Access.CLIENT,
    "POST /v1/dicts/{dict}/contains": Access.CLIENT,
    "POST /v1/dicts/{dict}/update": Access.CLIENT,
    "POST /v1/dicts/{dict}/pop": Access.CLIENT,
    "POST /v1/dicts/{dict}/items": Access.CLIENT,
    "GET /v1/dicts/{dict}/len": Access.CLIENT,
    "POST /v1/dicts/{dict}/clear": Access.CLIENT,
    "POST /v1/dicts/{dict}/values": Access.CLIENT,
    "GET /v1/dicts/{dict}/values/{file}": Access.CLIENT,
    "GET /v1/queues": Access.CLIENT,
    "POST /v1/queues": Access.CLIENT,
    "GET /v1/queues/{queue}": Access.CLIENT,
    "DELETE /v1/queues/{queue}": Access.CLIENT,
    "POST /v1/queues/{queue}/heartbeat": Access.CLIENT,
    "POST /v1/queues/{queue}/put": Access.CLIENT,
    "POST /v1/queues/{queue}/get": Access.CLIENT,
    "POST /v1/queues/{queue}/items": Access.CLIENT,
    "POST /v1/queues/{queue}/len": Access.CLIENT,
    "POST /v1/queues/{queue}/clear": Access.CLIENT,
    "POST /v1/blobs/missing": Access.CLIENT,
    "GET /v1/blobs/{sha256}": Access.CLIENT,
    "PUT /v1/blobs/{sha256}": Access.CLIENT,
    "WS /v1/link": Access.CLIENT,
}


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who sent a request."""

    role: Access  # CLIENT or ADMIN
    workspace: str = "main"
    name: str = ""  # for the record: "token", "session", an instance's id
    by_cookie: bool = False  # the browser sent it by itself: other sites' pages can make it do so


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Knows tokens and sessions. `key` is the home's; `instance` finds the principal of an instance's token."""

    token: str
    key: bytes
    instance: Callable[[str], Principal | None] = field(default=lambda _: None)
    environment: Callable[[str, str], str] = field(default=lambda workspace, _: workspace)  # the workspace of one
    now: Callable[[], float] = time.time
    codes: dict[str, float] = field(default_factory=dict[str, float])  # one-time login codes, and when they end

    def by_token(self, token: str) -> Principal | None:
        if hmac.compare_digest(token.encode(), self.token.encode()):
            return Principal(role=Access.ADMIN, name="token")
        return self.instance(token)

    def by_session(self, cookie: str) -> Principal | None:
        """The bearer of a session cookie that we signed and that has not ended."""
        body, _, mac = cookie.partition(".")
        if not mac or not hmac.compare_digest(mac.encode(), self._sign(body).encode()):
            return None
        content = json.loads(_decode(body))
        if content["ends"] <= self.now():
            return None
        return Principal(role=Access.ADMIN, workspace=content["workspace"], name="session", by_cookie=True)

    def new_session(self, workspace: str = "main") -> str:
        content = {"workspace": workspace, "ends": self.now() + SESSION_S, "id": secrets.token_hex(8)}
        body = _encode(json.dumps(content).encode())
        return f"{body}.{self._sign(body)}"

    def new_code(self) -> str:
        """A code that signs in once, within ten minutes."""
        now = self.now()
        for code in [c for c, ends in self.codes.items() if ends <= now]:
            del self.codes[code]
        while len(self.codes) >= _CODES_MAX:
            del self.codes[next(iter(self.codes))]
        code = secrets.token_urlsafe(24)
        self.codes[code] = now + CODE_S
        return code

    def redeem(self, code: str) -> None:
        """Use up a login code. Raises AuthError when it is unknown, used or too old."""
        ends = self.codes.pop(code, None)
        if ends is None or ends <= self.now():
            msg = "this sign-in link was used already or is too old; `freehold status --link` prints a new one, or sign in with the token"
            raise AuthError(msg)

    def _sign(self, body: str) -> str:
        key = hmac.new(self.key, b"freehold session 1\0" + self.token.encode(), hashlib.sha256).digest()
        return _encode(hmac.new(key, body.encode(), hashlib.sha256).digest())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
