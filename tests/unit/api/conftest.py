"""The control API over services that a test plays, called without a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from freehold.core.clock import SystemClock
from freehold.core.errors import ImageBuildError, NotFoundError
from freehold.core.overrides import Overrides
from freehold.core.specs import FunctionSpec, ImageSpec, Method, Parameter, Scaling
from freehold.core.states import AppState, SandboxState
from freehold.protocol.schemas import (
    AppHandle,
    AppView,
    CallGraph,
    CommandRequest,
    CommandView,
    EnvironmentView,
    ImageView,
    JsonCall,
    JsonResult,
    LogLine,
    PoolRef,
    PoolView,
    PruneResult,
    SandboxRequest,
    SandboxView,
    ScalingChange,
    SecretView,
    SnapshotView,
    StatusView,
    TunnelView,
    VariantView,
)
from freehold.server.api.application import build_api
from freehold.server.api.auth import Access, Authority, Principal
from freehold.server.api.contract import ApiConfig, Services
from freehold.server.events import Event
from freehold.server.ingress.contract import RequestRecord
from freehold.server.services.blobs import Blobs
from freehold.server.services.dict_files import DictFiles
from freehold.server.services.dicts import Dicts
from freehold.server.services.queues import Queues
from freehold.server.services.volumes import Volumes
from freehold.server.store.rows import SandboxFilter
from freehold.server.store.sqlite import SqliteStore

TOKEN = "token-of-the-platform"
INSTANCE_TOKEN = "token-of-an-instance"
FOREIGN_TOKEN = "token-of-an-instance-of-another-workspace"


class FakePools:
    async def override(self, workspace: str, function_id: str, overrides: Overrides) -> VariantView:
        return VariantView(id=f"{workspace} {function_id}", overrides=overrides)

    async def scale(self, workspace: str, ref: PoolRef, change: ScalingChange) -> Scaling:
        return Scaling(min_instances=change.min_instances or 0)

    async def stats(self, workspace: str, ref: PoolRef) -> PoolView:
        return PoolView(backlog=len(ref.parameters))


class FakeApps:
    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    async def create(self, workspace: str, request: Any, who: str = "") -> AppHandle:
        self.asked.append(("create", workspace, request, who))
        return AppHandle(id="ap-1", name=request.spec.name, version=1, url="http://x", functions={})

    async def check(self, workspace: str, spec: Any) -> None:
        self.asked.append(("check", workspace, spec))

    async def list(self, workspace: str) -> list[AppView]:
        if self.error is not None:
            raise self.error
        self.asked.append(("list", workspace))
        return [
            AppView(
                id="ap-1",
                name="ocr",
                state=AppState.DEPLOYED,
                version=1,
                created=1.0,
                stopped=None,
                description=None,
                instances=0,
            )
        ]

    async def get(self, workspace: str, ref: str) -> AppView:
        self.asked.append(("get", workspace, ref))
        msg = f"no app {ref!r}"
        raise NotFoundError(msg)

    async def stop(self, workspace: str, ref: str) -> None:
        self.asked.append(("stop", workspace, ref))

    async def history(self, workspace: str, ref: str) -> list[Any]:
        return []

    async def rollback(self, workspace: str, ref: str, version: int | None) -> AppHandle:
        self.asked.append(("rollback", workspace, ref, version))
        return AppHandle(id="ap-1", name=ref, version=version or 1, url="http://x", functions={})

    async def tag(self, workspace: str, ref: str, tags: dict[str, str]) -> None:
        self.asked.append(("tag", workspace, ref, tags))

    async def function_detail(self, workspace: str, function_id: str) -> Any:
        self.asked.append(("function_detail", workspace, function_id))
        msg = f"no function {function_id!r}"
        raise NotFoundError(msg)

    async def function(self, workspace: str, app: str, name: str, version: int | None = None) -> Any:
        return {"id": "fu-1", "name": name}

    def specs(self, workspace: str) -> Iterator[tuple[str, FunctionSpec]]:
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        yield (
            "demo",
            FunctionSpec(name="shout", module="m", qualname="shout", json_schema=schema, doc="Shout <loudly>."),
        )
        yield (
            "demo",
            FunctionSpec(
                name="Ocr", module="m", qualname="Ocr", kind="cls", methods=(Method(name="predict"), Method(name="stream", is_generator=True)),
                parameters=(Parameter(name="lang", type="str", default="en", required=False),),
            ),
        )  # fmt: skip


class FakeCalls:
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.cancelled = False

    async def list(self, workspace: str, which: Any) -> list[Any]:
        self.asked.append(which)
        return []

    async def get(self, workspace: str, call_id: str) -> Any:
        return {"call": call_id}

    async def cancel(self, workspace: str, call_id: str, *, terminate: bool = False) -> bool:
        self.asked.append((call_id, terminate))
        return True

    async def graph(self, workspace: str, call_id: str) -> CallGraph:
        self.asked.append(("graph", workspace, call_id))
        return CallGraph(inputs=())

    async def result(self, workspace: str, call_id: str) -> Any:
        return {"x": 1}

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
    ) -> JsonResult:
        self.asked.append((workspace, app, function, method, key, wait, call))
        if function == "forever":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        return JsonResult(call="fc-1", result={"args": call.args, "kwargs": call.kwargs} if wait else None)


class FakeInstances:
    async def list(self, workspace: str, **_: Any) -> list[Any]:
        return []

    async def get(self, workspace: str, instance_id: str) -> Any:
        return {"id": instance_id}

    async def stop(self, workspace: str, instance_id: str, *, graceful: bool = True) -> None: ...


class FakeEnvironments:
    def list(self, workspace: str) -> list[EnvironmentView]:
        return [EnvironmentView(name="main", created=0.0)]

    async def create(self, workspace: str, environment: str) -> EnvironmentView:
        return EnvironmentView(name=environment, created=0.0)

    async def delete(self, workspace: str, environment: str) -> None: ...


class FakeStream:
    """A stream that has been written to its end, and an input that is told what comes."""

    def __init__(self) -> None:
        self.written: list[bytes | None] = []

    async def read(self, offset: int) -> tuple[bytes, int]:
        data = b"hello\n"[offset : offset + 4]
        return data, offset + len(data)

    async def write(self, data: bytes) -> None:
        self.written.append(data)

    async def end(self) -> None:
        self.written.append(None)


class FakeCommand:
    def __init__(self, stream: FakeStream) -> None:
        self.stdin, self.outputs = stream, {"stdout": stream, "stderr": stream}

    def attended(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class FakeSandboxes:
    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.stream = FakeStream()

    def _view(self, sandbox: str, **more: Any) -> SandboxView:
        if sandbox != "sb-1":
            msg = f"no sandbox {sandbox!r}"
            raise NotFoundError(msg)
        given: dict[str, Any] = {
            "state": SandboxState.RUNNING,
            "ended": None,
            "returncode": None,
            "reason": None,
            "tags": {},
        }
        return SandboxView(
            id="sb-1", app_id="ap-1", app="demo", name=None, created=1.0, image="d", timeout_s=300.0, **given | more
        )

    async def create(self, workspace: str, request: SandboxRequest) -> SandboxView:
        self.asked.append(("create", workspace, request))
        return self._view("sb-1")

    async def list(self, workspace: str, which: SandboxFilter, tags: dict[str, str] | None = None) -> list[SandboxView]:
        self.asked.append(("list", workspace, which, tags))
        return [self._view("sb-1")]

    async def get(self, workspace: str, sandbox: str) -> SandboxView:
        return self._view(sandbox)

    async def wait(self, workspace: str, sandbox: str, timeout_s: float) -> SandboxView:
        self.asked.append(("wait", sandbox, timeout_s))
        return self._view(sandbox, state=SandboxState.EXITED, returncode=3)

    async def terminate(self, workspace: str, sandbox: str) -> SandboxView:
        return self._view(sandbox, state=SandboxState.TERMINATED, returncode=137)

    async def set_tags(self, workspace: str, sandbox: str, tags: dict[str, str]) -> SandboxView:
        return self._view(sandbox, tags=tags)

    def tunnels(self, workspace: str, sandbox: str) -> list[TunnelView]:
        return [TunnelView(port=80, host="127.0.0.1", host_port=4080)]

    async def snapshot(self, workspace: str, sandbox: str) -> SnapshotView:
        return SnapshotView(spec=ImageSpec(), digest="d")

    async def run(self, workspace: str, sandbox: str, request: CommandRequest) -> CommandView:
        self.asked.append(("run", sandbox, request))
        return CommandView(id="pr-1", returncode=None)

    async def wait_command(self, workspace: str, sandbox: str, command: str, timeout_s: float) -> CommandView:
        self.asked.append(("wait_command", command, timeout_s))
        return CommandView(id=command, returncode=0)

    def command(self, workspace: str, sandbox: str, command: str) -> FakeCommand:
        self.asked.append(("command", sandbox, command))
        return FakeCommand(self.stream)

    async def signal(self, workspace: str, sandbox: str, command: str, number: int) -> None:
        self.asked.append(("signal", command, number))

    async def resize(self, workspace: str, sandbox: str, command: str, size: tuple[int, int]) -> None:
        self.asked.append(("resize", command, size))


class FakeTunnels:
    async def open_for(self, who: str, workspace: str, instance_id: str, port: int) -> TunnelView:
        return TunnelView(host=who, port=port, host_port=1)

    async def close_for(self, who: str, workspace: str, instance_id: str, port: int) -> None: ...


class FakeImages:
    fails = False

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.published: list[tuple[str, str]] = []

    async def admit(self, workspace: str, spec: Any) -> Any:
        return spec

    async def ensure(self, workspace: str, spec: Any) -> ImageView:
        await asyncio.sleep(0.1)  # one that was there already answers at once, without its log
        if self.fails:
            msg = "step 2 pip_install failed"
            raise ImageBuildError(msg)
        return ImageView(digest="d", state="ready", created=1.0)

    async def list(self, workspace: str) -> list[ImageView]:
        return [ImageView(digest="d", state="ready", created=1.0)]

    async def publish(self, workspace: str, ref: str, name: str) -> None:
        self.published.append((ref, name))

    async def get(self, workspace: str, ref: str) -> ImageView:
        return ImageView(digest=ref, state="ready", created=1.0)

    async def delete(self, ref: str) -> None:
        self.deleted.append(ref)

    async def prune(self, *, unused_s: float = 0.0) -> PruneResult:
        return PruneResult(deleted=("d",), freed_bytes=int(unused_s))

    async def follow(self, digest: str) -> AsyncIterator[str]:
        yield "one"
        yield "two"

    async def log(self, ref: str) -> AsyncIterator[str]:
        yield "one"
        yield "two"


class FakeSecrets:
    def __init__(self) -> None:
        self.kept: dict[str, dict[str, str]] = {}

    async def put(self, workspace: str, name: str, values: dict[str, str], *, force: bool = False) -> SecretView:
        self.kept[name] = values
        return SecretView(name=name, keys=tuple(values), created=1.0, updated=1.0)

    async def update(self, workspace: str, name: str, values: dict[str, str]) -> SecretView:
        return await self.put(workspace, name, self.kept[name] | values)

    async def get(self, workspace: str, name: str) -> SecretView:
        return SecretView(name=name, keys=tuple(self.kept[name]), created=1.0, updated=1.0)

    async def list(self, workspace: str) -> list[SecretView]:
        return [SecretView(name=n, keys=tuple(v), created=1.0, updated=1.0) for n, v in self.kept.items()]

    async def delete(self, workspace: str, name: str) -> None:
        del self.kept[name]


class FakeBuckets:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def refresh(self, instance: str) -> None:
        self.asked.append(("refresh", instance))

    async def store(self, instance: str) -> None:
        self.asked.append(("store", instance))


class FakeStatus:
    up = True

    def status(self) -> StatusView:
        return StatusView(
            version="1", protocol=1, home="/h", url="u", pid=1, started=1.0, cpu_total=1.0, cpu_reserved=0.0, memory_total_mib=1,
            memory_reserved_mib=0, devices=(), apps=0, instances=0, backlog=0, running=0, guards={},
        )  # fmt: skip

    def ready(self) -> bool:
        return self.up


class FakeEvents:
    def __init__(self) -> None:
        self.listeners = 0

    async def subscribe(self) -> AsyncIterator[Event]:
        self.listeners += 1
        try:
            yield Event(kind="app", id="ap-1", name="deployed")
            await asyncio.sleep(60)
        finally:
            self.listeners -= 1


class FakeLogs:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def query(self, query: Any) -> Iterator[LogLine]:
        self.asked.append(query)
        for n in range(1200):
            yield LogLine(timestamp="t", level="info", message=f"line {n}", logger="l", service="s", type="system")

    async def follow(self, query: Any) -> AsyncIterator[LogLine]:
        self.asked.append(query)
        yield LogLine(timestamp="t", level="info", message="live", logger="l", service="s", type="system")


@dataclass
class World:
    """The application and what it is built on."""

    folder: Path
    host: str = "127.0.0.1"
    apps: FakeApps = field(default_factory=FakeApps)
    calls: FakeCalls = field(default_factory=FakeCalls)
    sandboxes: FakeSandboxes = field(default_factory=FakeSandboxes)
    instance_commands: FakeSandboxes = field(default_factory=FakeSandboxes)
    images: FakeImages = field(default_factory=FakeImages)
    secrets: FakeSecrets = field(default_factory=FakeSecrets)
    buckets: FakeBuckets = field(default_factory=FakeBuckets)
    status: FakeStatus = field(default_factory=FakeStatus)
    events: FakeEvents = field(default_factory=FakeEvents)
    logs: FakeLogs = field(default_factory=FakeLogs)
    records: list[RequestRecord] = field(default_factory=list[RequestRecord])
    stopped: list[bool] = field(default_factory=list[bool])
    now: float = 1000.0
    links: Any = None
    terminals: Any = None
    max_body_bytes: int = 10_000
    allowed_hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.authority = Authority(token=TOKEN, key=b"k" * 32, instance=self._instance, now=lambda: self.now)
        self.volumes, self.blobs = Volumes(self.folder / "volumes"), Blobs(self.folder / "blobs")
        self.volumes.open()
        self.blobs.open()
        self.store = SqliteStore(self.folder / "freehold.db")  # opened by the tests that want it
        self.dicts, self.queues = Dicts(self.store, DictFiles(self.folder / "dicts", SystemClock())), Queues(self.store)

    def _instance(self, token: str) -> Principal | None:
        known = {INSTANCE_TOKEN: "main", FOREIGN_TOKEN: "other"}
        return Principal(role=Access.CLIENT, workspace=known[token], name="in-1") if token in known else None

    def app(self, **options: Any) -> FastAPI:
        services = Services(
            apps=self.apps, calls=self.calls, pools=FakePools(), instances=FakeInstances(), instance_commands=self.instance_commands, tunnels=FakeTunnels(), sandboxes=self.sandboxes, images=self.images, blobs=self.blobs, volumes=self.volumes,
            buckets=self.buckets, dicts=self.dicts, queues=self.queues, secrets=self.secrets, environments=FakeEnvironments(), terminals=self.terminals, status=self.status,
            events=self.events, links=self.links, logs=self.logs, metrics=lambda: b"up 1\n",
            shutdown=lambda: self.stopped.append(True),
        )  # fmt: skip
        config = ApiConfig(
            host=self.host,
            on_request=self.records.append,
            max_body_bytes=self.max_body_bytes,
            allowed_hosts=self.allowed_hosts,
        )
        return build_api(services, self.authority, config, **options)

    def client(self, token: str | None = TOKEN, **headers: str) -> httpx.AsyncClient:
        shown = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app(), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={**shown, **headers})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def pieces(*parts: bytes) -> AsyncIterable[bytes]:
    for part in parts:
        yield part
