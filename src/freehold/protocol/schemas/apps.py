"""Apps, their functions and versions."""

from dataclasses import dataclass, field
from typing import Literal

from freehold.core.specs import AppSpec, FunctionSpec, Parameter
from freehold.core.states import AppState


@dataclass(frozen=True, kw_only=True)
class AppRequest:
    """Create an ephemeral app or deploy one. Image environments must be built before (`POST /v1/images`)."""

    spec: AppSpec
    mode: Literal["ephemeral", "detached", "deploy"]
    strategy: Literal["rolling", "recreate"] = "rolling"
    tag: str | None = None
    client: str = ""  # client program and version
    dry_run: bool = False  # check only
    replaces: str = ""  # id of an ephemeral app; this is its next version, and `client` holds it from now on
    if_missing: bool = False  # deploy only where no app of this name is deployed; else answer with that one


@dataclass(frozen=True, kw_only=True)
class FunctionHandle:
    id: str
    name: str
    endpoints: dict[str, str] = field(default_factory=dict[str, str])  # method name -> URL
    is_generator: bool = False
    methods: tuple[str, ...] = ()  # of a class
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FunctionDetail:
    """A function that runs, and what it is run as; its code and what is sealed are left out."""

    handle: FunctionHandle
    app_id: str
    app: str
    version: int
    image: str  # digest
    spec: FunctionSpec


@dataclass(frozen=True, kw_only=True)
class AppHandle:
    id: str
    name: str
    version: int
    url: str  # of its dashboard page
    functions: dict[str, FunctionHandle]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EndpointView:
    """How an endpoint is asked. `method` is empty where the program has routes of its own."""

    url: str
    method: str = ""
    docs: bool = False  # at /docs
    requires_proxy_auth: bool = False


@dataclass(frozen=True, kw_only=True)
class FunctionView:
    id: str
    app_id: str
    app: str
    name: str
    kind: str
    digest: str
    endpoints: dict[str, str]
    image: str  # digest
    cpu: float
    memory_mib: int
    gpu: tuple[str, ...]
    timeout_s: float
    min_instances: int
    max_instances: int | None
    instances: int  # live now
    backlog: int  # inputs waiting
    running: int
    doc: str | None = None
    methods: tuple[str, ...] = ()  # of a class, those that are called
    web: dict[str, EndpointView] = field(default_factory=dict[str, EndpointView])  # as `endpoints`, with how to ask
    schedule: str | None = None  # as "Period(days=1)"
    next_run: float | None = None  # when its schedule calls it next


@dataclass(frozen=True, kw_only=True)
class AppView:
    id: str
    name: str
    state: AppState
    version: int
    created: float
    stopped: float | None
    description: str | None
    instances: int
    functions: tuple[FunctionView, ...] = ()
    tags: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class VersionView:
    app: str
    version: int
    created: float
    tag: str | None
    client: str
    current: bool
    functions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TagsRequest:
    tags: dict[str, str]  # all of them: those that are not named go


@dataclass(frozen=True, kw_only=True)
class RollbackRequest:
    version: int | None = None  # None: the one before
