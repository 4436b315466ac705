"""The apps that run now and their functions, in memory; the store has them for ever."""

from dataclasses import dataclass, field, replace

from freehold.core.errors import NotFoundError
from freehold.core.overrides import Overrides
from freehold.core.specs import FunctionSpec, Scaling
from freehold.core.states import AppState
from freehold.core.suggest import did_you_mean
from freehold.server.dispatch.pool import Pool


def pool_key(parameters: bytes, variant: str = "") -> bytes:
    """Msgpack knows its own end, so no two pairs give one key."""
    return parameters + variant.encode()


@dataclass(eq=False, kw_only=True)
class Timing:
    """Where a function's schedule stands. Only `services.schedules` changes it."""

    base: float  # when its version was deployed
    due: float  # when it is called next
    not_before: float = 0.0  # after a call that was refused


@dataclass(eq=False, kw_only=True)
class LiveFunction:
    """A function of a live app: its current spec, and a pool for each set of parameters and each variant."""

    id: str
    app: "LiveApp"
    spec: FunctionSpec
    digest: str
    version: int
    endpoints: dict[str, str] = field(default_factory=dict[str, str])  # method -> URL
    pools: dict[bytes, Pool] = field(default_factory=dict[bytes, Pool])  # by `pool_key`
    timing: Timing | None = None  # of one with a schedule

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(eq=False, kw_only=True)
class LiveApp:
    id: str
    name: str
    workspace: str
    state: AppState
    version: int
    created: float
    client: str = ""  # of an ephemeral app: it ends when this client is gone
    client_seen: float = 0.0  # monotonic
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict[str, str])
    functions: dict[str, LiveFunction] = field(default_factory=dict[str, LiveFunction])


class Registry:
    """Apps by id and name, functions by id; what is overridden of functions, and what was changed of autoscalers."""

    def __init__(self) -> None:
        self.apps: dict[str, LiveApp] = {}
        self.functions: dict[str, LiveFunction] = {}
        self.variants: dict[tuple[str, str], Overrides] = {}  # by workspace and id
        self.scalings: dict[tuple[str, bytes, str], Scaling] = {}  # by function id, parameters and variant

    def has_variant(self, workspace: str, variant: str) -> bool:
        return not variant or (workspace, variant) in self.variants

    def spec(self, function: LiveFunction, parameters: bytes = b"", variant: str = "") -> FunctionSpec:
        """What one pool of a function runs. Raises InvalidError for overrides that its newest version cannot have."""
        spec = function.spec
        if variant:
            spec = self.variants[function.app.workspace, variant].applied(spec)
        scaling = self.scalings.get((function.id, parameters, variant))
        return spec if scaling is None else replace(spec, scaling=scaling)

    def app(self, workspace: str, ref: str) -> LiveApp:
        """Find a live app by id, else the deployed one of that name, else the newest ephemeral one."""
        own = self.apps.get(ref)
        if own is not None and own.workspace == workspace:
            return own
        named = [a for a in self.apps.values() if a.name == ref and a.workspace == workspace]
        if not named:
            msg = f"no running app {ref!r}; `freehold app list` shows what there is"
            raise NotFoundError(msg)
        return max(named, key=lambda a: (a.state is AppState.DEPLOYED, a.created))

    def function(self, workspace: str, app: str, name: str) -> LiveFunction:
        found = self.app(workspace, app)
        try:
            return found.functions[name]
        except KeyError:
            known = ", ".join(sorted(found.functions)) or "none"
            hint = did_you_mean(name, found.functions) or f"; it has: {known}"
            msg = f"app {found.name!r} has no function {name!r}{hint}"
            raise NotFoundError(msg) from None

    def add(self, app: LiveApp) -> None:
        self.apps[app.id] = app
        self.functions.update({f.id: f for f in app.functions.values()})

    def remove(self, app: LiveApp) -> None:
        self.apps.pop(app.id, None)
        for function in app.functions.values():
            self.functions.pop(function.id, None)

    def pools(self) -> list[Pool]:
        return [p for f in self.functions.values() for p in f.pools.values()]
