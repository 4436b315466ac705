"""What the routes ask of the server's services, as protocols; `server.app` hands in the real ones, tests hand in fakes."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from freehold.core.overrides import Overrides
from freehold.core.specs import FunctionSpec, ImageSpec, Scaling
from freehold.protocol.link import Link
from freehold.protocol.schemas import (
    AppHandle,
    AppRequest,
    AppView,
    CallDetail,
    CallGraph,
    CallView,
    EnvironmentView,
    FileView,
    FunctionDetail,
    FunctionHandle,
    ImageView,
    InstanceView,
    JsonCall,
    JsonResult,
    LogLine,
    PoolRef,
    PoolView,
    PruneResult,
    ScalingChange,
    SecretView,
    StatusView,
    TerminalAsk,
    TerminalText,
    VariantView,
    VersionView,
    VolumeView,
)
from freehold.server.ingress.contract import RequestRecord
from freehold.server.logs.words import LogQuery
from freehold.server.store.rows import CallFilter

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Apps(Protocol):
    async def create(self, workspace: str, request: AppRequest, who: str = "", /) -> AppHandle: ...
    async def list(self, workspace: str, /) -> Sequence[AppView]: ...
    async def get(self, workspace: str, ref: str, /) -> AppView: ...
    async def stop(self, workspace: str, ref: str, /) -> object: ...
    async def history(self, workspace: str, ref: str, /) -> Sequence[VersionView]: ...
    async def rollback(self, workspace: str, ref: str, version: int | None, /) -> AppHandle: ...
    async def function(self, workspace: str, app: str, name: str, version: int | None = None, /) -> FunctionHandle: ...
    async def function_detail(self, workspace: str, function_id: str, /) -> FunctionDetail: ...
    async def tag(self, workspace: str, ref: str, tags: dict[str, str], /) -> object: ...

    def specs(self, workspace: str, /) -> Iterator[tuple[str, FunctionSpec]]:
        """Name of the app and spec of each function that is deployed now, for the OpenAPI page."""
        ...


class Calls(Protocol):
    async def list(self, workspace: str, which: CallFilter, /) -> Sequence[CallView]: ...
    async def get(self, workspace: str, call_id: str, /) -> CallDetail: ...
    async def graph(self, workspace: str, call_id: str, /) -> CallGraph: ...
    async def cancel(self, workspace: str, call_id: str, /, *, terminate: bool = False) -> bool: ...
    async def result(self, workspace: str, call_id: str, /) -> Any: ...
    async def submit_json(
        self,
        workspace: str,
        app: str,
        function: str,
        call: JsonCall,
        *,
        method: str = "",
        key: str = "",
        wait: bool = True,
    ) -> JsonResult: ...


class Pools(Protocol):
    async def override(self, workspace: str, function_id: str, overrides: Overrides, /) -> VariantView: ...
    async def scale(self, workspace: str, ref: PoolRef, change: ScalingChange, /) -> Scaling: ...
    async def stats(self, workspace: str, ref: PoolRef, /) -> PoolView: ...


class Instances(Protocol):
    async def list(
        self,
        workspace: str,
        /,
        *,
        app: str | None = None,
        function: str | None = None,
        live_only: bool = True,
        limit: int = 100,
    ) -> Sequence[InstanceView]: ...
    async def get(self, workspace: str, instance_id: str, /) -> InstanceView: ...
    async def stop(self, workspace: str, instance_id: str, /, *, graceful: bool = True) -> object: ...


class Images(Protocol):
    async def admit(self, workspace: str, spec: ImageSpec, /) -> ImageSpec: ...
    async def ensure(self, workspace: str, spec: ImageSpec, /) -> ImageView: ...
    async def list(self, workspace: str, /) -> Sequence[ImageView]: ...
    async def get(self, workspace: str, ref: str, /) -> ImageView: ...
    async def publish(self, workspace: str, ref: str, name: str, /) -> None: ...
    def log(self, ref: str, /) -> AsyncIterator[str]: ...
    def follow(self, digest: str, /) -> AsyncIterator[str]: ...
    async def delete(self, ref: str, /) -> None: ...
    async def prune(self, workspace: str, /, *, unused_s: float = 0.0) -> PruneResult: ...


class Blobs(Protocol):
    def missing(self, digests: list[str], /) -> list[str]: ...
    async def put(self, stream: AsyncIterable[bytes], digest: str, /) -> int: ...
    def open_read(self, digest: str, /) -> BinaryIO: ...


class Volumes(Protocol):
    async def create(self, workspace: str, name: str, /) -> VolumeView: ...
    async def list(self, workspace: str, /) -> Sequence[VolumeView]: ...
    async def get(self, workspace: str, name: str, /, *, count: bool = True) -> VolumeView: ...
    async def rename(self, workspace: str, name: str, new: str, /) -> VolumeView: ...
    async def delete(self, workspace: str, name: str, /) -> None: ...
    async def copy(
        self, workspace: str, name: str, sources: Sequence[str], target: str, /, *, recursive: bool = False
    ) -> None: ...
    async def ls(self, workspace: str, name: str, path: str, /, *, recursive: bool = False) -> Sequence[FileView]: ...
    async def open_read(self, workspace: str, name: str, path: str, /) -> BinaryIO: ...
    async def put(
        self,
        workspace: str,
        name: str,
        path: str,
        /,
        stream: AsyncIterable[bytes],
        *,
        force: bool = True,
        executable: bool = False,
    ) -> FileView: ...
    async def remove(self, workspace: str, name: str, path: str, /, *, recursive: bool = False) -> None: ...


class Terminals(Protocol):
    def attach(self, workspace: str, ref: str, /) -> AsyncIterator[TerminalAsk]: ...
    async def say(self, instance_id: str, text: TerminalText, /) -> str | None: ...
    def answer(self, workspace: str, ref: str, ask: int, line: str | None, /) -> None: ...


class Buckets(Protocol):
    async def refresh(self, instance: str, /) -> None: ...
    async def store(self, instance: str, /) -> None: ...


class Secrets(Protocol):
    async def put(self, workspace: str, name: str, values: dict[str, str], /, *, force: bool = False) -> SecretView: ...
    async def update(self, workspace: str, name: str, values: dict[str, str], /) -> SecretView: ...
    async def get(self, workspace: str, name: str, /) -> SecretView: ...
    async def list(self, workspace: str, /) -> Sequence[SecretView]: ...
    async def delete(self, workspace: str, name: str, /) -> None: ...


class Environments(Protocol):
    def list(self, workspace: str, /) -> Sequence[EnvironmentView]: ...
    async def create(self, workspace: str, environment: str, /) -> EnvironmentView: ...
    async def delete(self, workspace: str, environment: str, /) -> None: ...


class Status(Protocol):
    def status(self) -> StatusView: ...
    def ready(self) -> bool: ...


class Event(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def detail(self) -> dict[str, Any]: ...


class Events(Protocol):
    def subscribe(self) -> AsyncIterator[Event]: ...


class Links(Protocol):
    def accept(self, *, local: bool = True) -> Link[Any]: ...


class Logs(Protocol):
    def query(self, query: LogQuery, /) -> Iterator[LogLine]: ...
    def follow(self, query: LogQuery, /) -> AsyncIterator[LogLine]: ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything the routes call."""

    apps: Apps
    calls: Calls
    pools: Pools
    instances: Instances
    images: Images
    blobs: Blobs
    volumes: Volumes
    buckets: Buckets
    secrets: Secrets
    environments: Environments
    terminals: Terminals
    status: Status
    events: Events
    links: Links
    logs: Logs
    metrics: Callable[[], bytes]  # Prometheus text
    shutdown: Callable[[], None]  # begins it, and returns
    log_query: type[LogQuery] = LogQuery


class LoginPage(Protocol):
    """Draws the sign-in form."""

    def __call__(self, request: "Request", *, error: str | None = None, next_path: str = "/") -> "Response": ...


@dataclass(frozen=True, kw_only=True)
class ApiConfig:
    host: str  # what the ingress is bound to
    allowed_hosts: frozenset[str] = frozenset()  # more names that people reach it by
    max_body_bytes: int = 64 * 1024 * 1024  # of JSON; uploads have no limit
    on_request: Callable[[RequestRecord], None] = field(default=lambda _: None)
