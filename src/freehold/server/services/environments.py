"""Environments: made, listed, and deleted with all that is in them."""

from collections.abc import Awaitable, Callable

from freehold.core.clock import Clock
from freehold.core.environments import MAIN, check_environment, environment_of, root_of, workspace_of
from freehold.core.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from freehold.core.suggest import did_you_mean
from freehold.protocol.schemas import EnvironmentView
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import WorkspaceRow

Empty = Callable[[str], Awaitable[object]]  # removes what a workspace has of one kind


class Environments:
    """The environments of all workspaces, in memory; `empty` are called, in order, for one that is deleted."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._reads, self._clock = store, Reads(store), clock
        self._created: dict[str, float] = {}
        self._leaving: set[str] = set()
        self.empty: list[Empty] = []

    async def open(self) -> None:
        self._created = {row.name: row.created for row in await self._reads.workspaces()}

    def find(self, workspace: str, environment: str) -> str:
        """The name under which an environment's things are kept. Raises NotFoundError for one that is not there."""
        found = workspace_of(workspace, environment)
        self._refuse_leaving(found)
        if environment == MAIN or found in self._created:
            return found
        names = [v.name for v in self.list(workspace)]
        hint = did_you_mean(environment, names) or f"; make it with `freehold environment create {environment[:32]}`"
        msg = f"no environment {environment[:100]!r}{hint}"
        raise NotFoundError(msg)

    def list(self, workspace: str) -> list[EnvironmentView]:
        """By name, `main` first."""
        root = root_of(workspace)
        views = [
            EnvironmentView(name=environment_of(name), created=created)
            for name, created in self._created.items()
            if root_of(name) == root
        ]
        return sorted(views, key=lambda v: (v.name != MAIN, v.name))

    async def create(self, workspace: str, environment: str) -> EnvironmentView:
        name = workspace_of(workspace, check_environment(environment))
        self._refuse_leaving(name)
        if name in self._created:
            msg = f"there is an environment {environment!r} already"
            raise AlreadyExistsError(msg)
        created = self._clock.now()
        await self._store.write(writes.put_workspaces([WorkspaceRow(name, created)]))
        self._created[name] = created
        return EnvironmentView(name=environment, created=created)

    async def delete(self, workspace: str, environment: str) -> None:
        """Delete it with its apps, secrets and data."""
        if environment == MAIN:
            msg = "environment 'main' cannot be deleted; stop its apps and delete its data one by one"
            raise InvalidError(msg)
        name = self.find(workspace, environment)
        self._leaving.add(name)
        try:
            for empty in self.empty:
                await empty(name)
            await self._store.write(writes.delete_workspace(name))
            del self._created[name]
        finally:
            self._leaving.discard(name)

    def _refuse_leaving(self, name: str) -> None:
        """What is made in an environment while it is deleted would be left in none."""
        if name in self._leaving:
            msg = f"environment {environment_of(name)!r} is being deleted; try again when it is gone"
            raise ConflictError(msg)
