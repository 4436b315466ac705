"""`environment_name=` of stored objects: whose names are meant, when it is not the environment that the process works in."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from freehold.core.environments import MAIN, check_environment
from freehold.core.errors import InvalidError
from freehold.sdk import config

if TYPE_CHECKING:
    from freehold.sdk.http import Api


def given(environment_name: str | None) -> str | None:
    """The name, checked; None for the process's own environment."""
    return check_environment(environment_name) if environment_name else None


def api_of(environment: str | None) -> "Api":
    """The control API, for an environment or the process's own."""
    from freehold.sdk import client
    from freehold.sdk.http import Api

    current = client.current()
    if environment is None or environment == (current.target.environment or MAIN):
        return current.api
    return Api(replace(current.target, environment=environment))


def named(environment_name: str | None, client: object = None) -> str | None:
    """The name, checked, as `given` does; a client that a program hands in becomes the process's own."""
    if client is not None:
        from freehold.sdk import client as clients

        clients.given(client)
    return given(environment_name)


def work_in(environment_name: str | None, client: object = None) -> None:
    """Let this process work in another environment from here on, and with the client that it hands in."""
    wanted = named(environment_name, client)
    if wanted is not None and wanted != config.environment():
        from freehold.sdk import client as clients

        os.environ[config.ENVIRONMENT] = wanted  # for what it starts, too
        clients.use(clients.Client(config.discover()))


def only_own(environment_name: str | None, what: str) -> None:
    """Refuse what is found in the process's own environment alone."""
    own = config.environment()
    if given(environment_name) not in (None, own):
        msg = f"{what} is found in the environment that this process works in, {own!r}: run it with FREEHOLD_ENVIRONMENT={environment_name}"
        raise InvalidError(msg)


def check_own(environment: str | None, what: str) -> None:
    """What a function is attached to lies in its own environment."""
    own = config.environment()
    if environment not in (None, own):
        msg = (
            f"{what} is of environment {environment!r}, and the function of {own!r}: functions are attached to what is in their own; "
            f"run with FREEHOLD_ENVIRONMENT={environment}, or leave environment_name out"
        )
        raise InvalidError(msg)
