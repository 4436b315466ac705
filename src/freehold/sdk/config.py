"""Where the server is: of this home, of this instance, or elsewhere. The only reader of the client's environment."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.core.environments import MAIN, check_environment
from freehold.core.errors import AuthError, ConnectionError
from freehold.core.home import Home
from freehold.sdk.profiles import chosen

_VARIABLE = "FREEHOLD_TOKEN"
ENVIRONMENT = "FREEHOLD_ENVIRONMENT"
_FORCE_BUILD = ("FREEHOLD_FORCE_BUILD", "MODAL_FORCE_BUILD", "MODAL_IGNORE_CACHE")
START_HINT = "start one with `freehold up --detach`, or set FREEHOLD_SERVER and FREEHOLD_TOKEN to reach one elsewhere"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server as a client reaches it. Addresses are `unix:PATH`, `http(s)://…` and, for the link, `ws(s)://…`."""

    api: str
    link: str
    token: str
    token_source: str  # for the message when the token is not known
    environment: str = ""  # whose apps and data are meant; "": the server's choice, which is `main`


def discover(environ: "os._Environ[str] | dict[str, str] | None" = None) -> Target:
    """Find the server, and which of its environments is meant (FREEHOLD_ENVIRONMENT, MODAL_ENVIRONMENT)."""
    env = os.environ if environ is None else environ
    named, found = environment(env), _server(env)
    return replace(found, environment=named) if named != MAIN else found


def environment(environ: "os._Environ[str] | dict[str, str] | None" = None) -> str:
    """The environment that this process works in; no server is asked."""
    env = os.environ if environ is None else environ
    named = env.get(ENVIRONMENT) or env.get("MODAL_ENVIRONMENT")
    return check_environment(named) if named else MAIN


def _server(env: "os._Environ[str] | dict[str, str]") -> Target:
    """FREEHOLD_API and FREEHOLD_LINK, else FREEHOLD_SERVER, else that of the profile, by default the home's own."""
    if env.get("FREEHOLD_LINK") and env.get("FREEHOLD_API"):
        return Target(
            api=env["FREEHOLD_API"],
            link=env["FREEHOLD_LINK"],
            token=env.get("FREEHOLD_TOKEN", ""),
            token_source=_VARIABLE,
        )
    url = env.get("FREEHOLD_SERVER", "").rstrip("/")
    token = env.get("FREEHOLD_TOKEN", "")
    if url:
        return remote(url, token, _VARIABLE)
    home = Home.default()
    profile = chosen(home)
    if profile.server:
        return remote(profile.server, token or profile.token, _VARIABLE if token else f"profile {profile.name!r}")
    return _local(home, token)


def force_build(environ: "os._Environ[str] | dict[str, str] | None" = None) -> bool:
    """Whether all images are to be built anew: FREEHOLD_FORCE_BUILD, or MODAL_FORCE_BUILD of older habits."""
    env = os.environ if environ is None else environ
    return any(env.get(name, "").lower() in ("1", "true", "yes") for name in _FORCE_BUILD)


def resolver_settings(environ: "os._Environ[str] | dict[str, str] | None" = None) -> dict[str, str]:
    """What of this environment decides which versions a build installs: it is part of the recipe."""
    env = os.environ if environ is None else environ
    return {name: env[name] for name in ("UV_EXCLUDE_NEWER",) if env.get(name)}


def no_server(target: Target, cause: object = "") -> ConnectionError:
    """The error of a server that is not there."""
    because = f" ({cause})" if cause else ""
    return ConnectionError(f"no Freehold server answers at {target.api}{because}: {START_HINT}")


def remote(url: str, token: str, source: str) -> Target:
    """A server by its URL; ConnectionError for what is none. `source` says where the token comes from."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest:
        msg = f"the server {url!r} is not a URL: give http://HOST:PORT or https://HOST"
        raise ConnectionError(msg)
    link = f"{'wss' if scheme == 'https' else 'ws'}://{rest}/v1/link"
    return Target(api=url, link=link, token=token, token_source=source)


def _local(home: Home, token: str) -> Target:
    try:
        json.loads(home.server_file.read_bytes())
    except (OSError, ValueError):
        msg = f"no Freehold server runs in {home.root}: {START_HINT}"
        raise ConnectionError(msg) from None
    source = _VARIABLE
    if not token:
        token, source = _read_token(home.token), str(home.token)
    return Target(api=f"unix:{home.api_socket}", link=f"unix:{home.link_socket}", token=token, token_source=source)


def _read_token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        msg = f"cannot read the token's file {str(path)!r}: {error.strerror}; run as the user who started the server"
        raise AuthError(msg) from None
