"""Workspace and Environment: whose apps and data are meant. A server has one workspace, and environments in it."""

from typing import Any

from freehold.core.environments import MAIN, check_environment
from freehold.core.errors import AlreadyExistsError, NotFoundError
from freehold.protocol import schemas
from freehold.sdk import client as clients
from freehold.sdk.faces import blocking, both, both_static
from freehold.sdk.http import segment


class Workspace:
    """The one workspace of a server."""

    name = MAIN

    def __repr__(self) -> str:
        return f"Workspace({self.name!r})"

    @staticmethod
    def from_context(*, client: Any = None) -> "Workspace":
        clients.given(client)
        return Workspace()


class _Environments:
    """`Environment.objects`."""

    @staticmethod
    @both_static
    async def create(name: str, *, allow_existing: bool = False) -> None:
        """Make one; AlreadyExistsError when it is there."""
        try:
            await blocking(clients.current().api.act, "PUT", f"/v1/environments/{segment(check_environment(name))}")
        except AlreadyExistsError:
            if not allow_existing:
                raise

    @staticmethod
    @both_static
    async def list() -> "list[Environment]":
        return [Environment(view.name) for view in await blocking(_all)]

    @staticmethod
    @both_static
    async def delete(name: str, *, allow_missing: bool = False) -> None:
        """Delete one with its apps, secrets and data."""
        try:
            await blocking(clients.current().api.act, "DELETE", f"/v1/environments/{segment(name)}")
        except NotFoundError:
            if not allow_missing:
                raise


class Environment:
    """Made by `from_name` or `from_context`."""

    objects = _Environments()

    def __init__(self, name: str, *, create_if_missing: bool = False) -> None:
        self.name, self._create = check_environment(name), create_if_missing

    def __repr__(self) -> str:
        return f"Environment({self.name!r})"

    @staticmethod
    def from_name(name: str, *, create_if_missing: bool = False, client: Any = None) -> "Environment":
        """The environment of this name; nothing is asked of the server until it is used."""
        clients.given(client)
        return Environment(name, create_if_missing=create_if_missing)

    @staticmethod
    def from_context(*, client: Any = None) -> "Environment":
        """The one that this process works in."""
        clients.given(client)
        return Environment(clients.current().target.environment or MAIN)

    @both
    async def hydrate(self, client: Any = None) -> "Environment":
        """Ask the server now whether it is there; raises NotFoundError."""
        clients.given(client)
        if self._create:
            await _Environments.create.core(self.name, allow_existing=True)
        names = [view.name for view in await blocking(_all)]
        if self.name not in names:
            msg = f"no environment {self.name!r}; there are {', '.join(names)}"
            raise NotFoundError(msg)
        return self


def _all() -> "list[schemas.EnvironmentView]":
    return clients.current().api.get("/v1/environments", list[schemas.EnvironmentView])
