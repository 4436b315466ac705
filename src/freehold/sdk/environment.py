"""`environment_name=` of stored objects: whose names are meant, when it is not the environment that the process works in."""

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


def check_own(environment: str | None, what: str) -> None:
    """What a function is attached to lies in its own environment."""
    own = config.environment()
    if environment not in (None, own):
        msg = (
            f"{what} is of environment {environment!r}, and the function of {own!r}: functions are attached to what is in their own; "
            f"run with FREEHOLD_ENVIRONMENT={environment}, or leave environment_name out"
        )
        raise InvalidError(msg)
