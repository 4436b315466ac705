"""A platform of played services for the dashboard: busy, empty, or full of hostile text. `preview.py` shows it in a browser."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

from freehold.core.errors import NotFoundError
from freehold.core.states import AppState, CallState, InstanceState
from freehold.protocol.schemas import (
    AppView,
    AttemptView,
    CallDetail,
    CallView,
    EndpointView,
    FileView,
    FunctionView,
    InputView,
    InstanceView,
    LogLine,
    SecretView,
    StatusView,
    VersionView,
    VolumeView,
)
from freehold.server.api.contract import Services
from freehold.server.events import Events
from freehold.server.logs.words import LogQuery
from freehold.server.store.rows import CallFilter

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
TRACEBACK = """Traceback (most recent call last):
  File "/root/ocr.py", line 48, in predict
    boxes = self.engine(image)
  File "/root/ocr.py", line 31, in engine
    raise ValueError(f"page has no text: {path!r}")
ValueError: page has no text: 'scan-0017.png'
"""


def fake_id(prefix: str, number: int) -> str:
    return f"{prefix}-019a{number:08x}{random.Random(f'{prefix}{number}').randbytes(8).hex()}"


@dataclass
class World:
    """Everything the fakes know; a test changes it and the pages show it."""

    now: float = field(default_factory=time.time)
    apps: list[AppView] = field(default_factory=list[AppView])
    versions: list[VersionView] = field(default_factory=list[VersionView])
    calls: list[CallView] = field(default_factory=list[CallView])
    details: dict[str, CallDetail] = field(default_factory=dict[str, CallDetail])
    instances: list[InstanceView] = field(default_factory=list[InstanceView])
    lines: list[LogLine] = field(default_factory=list[LogLine])
    secrets: list[SecretView] = field(default_factory=list[SecretView])
    volumes: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    guards: dict[str, str] = field(default_factory=lambda: {"bubblewrap": "ok", "pdeathsig": "ok"})
    devices: tuple[str, ...] = ()
    done: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    events: Events = field(default_factory=Events)
    spoken: asyncio.Event = field(default_factory=asyncio.Event)

    def services(self) -> Services:
        unused: Any = None
        return Services(
            apps=cast("Any", Apps(self)), calls=cast("Any", Calls(self)), pools=unused, instances=cast("Any", Instances(self)),
            images=unused, blobs=unused, dicts=unused, queues=unused, buckets=unused, volumes=cast("Any", Volumes(self)), secrets=cast("Any", Secrets(self)),
            environments=unused, terminals=unused, tunnels=unused, sandboxes=unused, instance_commands=unused,
            status=Status(self), events=self.events, links=unused, logs=Logs(self), metrics=lambda: b"", shutdown=lambda: None,
        )  # fmt: skip

    def say(self, line: LogLine) -> None:
        self.lines.append(line)
        self.spoken.set()
        self.spoken = asyncio.Event()


class Apps:
    def __init__(self, world: World) -> None:
        self.world = world

    async def list(self, workspace: str) -> list[AppView]:
        assert workspace == "main"
        return self.world.apps

    async def get(self, workspace: str, ref: str) -> AppView:
        for app in self.world.apps:
            if ref in (app.id, app.name):
                return app
        raise NotFoundError(f"no app {ref!r}")

    async def history(self, workspace: str, ref: str) -> Sequence[VersionView]:
        app = await self.get(workspace, ref)
        return [v for v in self.world.versions if v.app == app.name]

    async def stop(self, workspace: str, ref: str) -> None:
        self.world.done.append(("stop app", ref))
        self.world.apps = [replace(a, state=AppState.STOPPED) if a.id == ref else a for a in self.world.apps]
        self.world.events.publish("app", ref, "stopped")

    async def rollback(self, workspace: str, ref: str, version: int | None) -> None:
        self.world.done.append(("rollback", ref, str(version)))


class Calls:
    def __init__(self, world: World) -> None:
        self.world = world

    async def list(self, workspace: str, which: CallFilter) -> list[CallView]:
        def fits(c: CallView) -> bool:
            return (
                (which.app is None or which.app in (c.app, c.app_id))
                and (which.function is None or which.function == c.function)
                and (which.state is None or which.state == c.state)
                and (which.kind is None or which.kind == c.kind)
                and (which.since is None or c.created >= which.since)
                and (which.before is None or c.id < which.before)
            )

        return sorted(filter(fits, self.world.calls), key=lambda c: c.id, reverse=True)[: which.limit]

    async def get(self, workspace: str, call_id: str) -> CallDetail:
        if call_id in self.world.details:
            return self.world.details[call_id]
        found = next((c for c in self.world.calls if c.id == call_id), None)
        if found is None:
            raise NotFoundError(f"no call {call_id!r}")
        return CallDetail(call=found, inputs=(), attempts=())

    async def cancel(self, workspace: str, call_id: str) -> bool:
        self.world.done.append(("cancel", call_id))
        return True


class Instances:
    def __init__(self, world: World) -> None:
        self.world = world

    async def list(
        self,
        workspace: str,
        *,
        app: str | None = None,
        function: str | None = None,
        live_only: bool = True,
        limit: int = 100,
    ) -> list[InstanceView]:
        return [
            i for i in self.world.instances if (app in (None, i.app, i.app_id)) and (i.state.live or not live_only)
        ][:limit]

    async def get(self, workspace: str, instance_id: str) -> InstanceView:
        for instance in self.world.instances:
            if instance.id == instance_id:
                return instance
        raise NotFoundError(f"no instance {instance_id!r}")

    async def stop(self, workspace: str, instance_id: str) -> None:
        self.world.done.append(("stop instance", instance_id))
        self.world.instances = [
            replace(i, state=InstanceState.DRAINING) if i.id == instance_id else i for i in self.world.instances
        ]
        self.world.events.publish("instance", instance_id, "draining")


class Logs:
    def __init__(self, world: World) -> None:
        self.world = world

    def query(self, query: LogQuery) -> Iterator[LogLine]:
        found = [line for line in self.world.lines if _fits(line, query)]
        yield from found[-query.tail :] if query.tail else found

    async def follow(self, query: LogQuery) -> AsyncIterator[LogLine]:
        for line in self.query(query):
            yield line
        seen = len(self.world.lines)
        while True:
            await self.world.spoken.wait()
            for line in self.world.lines[seen:]:
                if _fits(line, query):
                    yield line
            seen = len(self.world.lines)


def _fits(line: LogLine, query: LogQuery) -> bool:
    return (
        line.type in query.types
        and (not query.search or query.search.lower() in line.message.lower())
        and all(
            want is None or want == has
            for want, has in (
                (query.app, line.app), (query.function, line.function), (query.instance, line.instance), (query.call, line.call),
            )
        )
    )  # fmt: skip


class Secrets:
    def __init__(self, world: World) -> None:
        self.world = world

    async def list(self, workspace: str) -> list[SecretView]:
        return self.world.secrets


class Volumes:
    def __init__(self, world: World) -> None:
        self.world = world

    async def list(self, workspace: str) -> list[VolumeView]:
        return [VolumeView(name=name, created=self.world.now - 9e5) for name in self.world.volumes]

    async def get(self, workspace: str, name: str) -> VolumeView:
        files = self._files(name)
        return VolumeView(
            name=name, created=self.world.now - 9e5, bytes=sum(map(len, files.values())), files=len(files)
        )

    async def ls(self, workspace: str, name: str, path: str) -> Sequence[FileView]:
        inside = [f for f in self._files(name) if f.startswith(f"{path}/" if path else "")]
        depth = path.count("/") + 1 if path else 0
        folders = {"/".join(f.split("/")[: depth + 1]) for f in inside if f.count("/") > depth}
        modified = self.world.now - 7200
        return [FileView(path=f, type="directory", bytes=0, modified=modified) for f in folders] + [
            FileView(path=f, type="file", bytes=len(self._files(name)[f]), modified=modified)
            for f in inside
            if f.count("/") == depth
        ]

    async def open_read(self, workspace: str, name: str, path: str) -> BinaryIO:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (the page closes it)
        file.write(self._files(name)[path])
        file.seek(0)
        return cast("BinaryIO", file)

    def _files(self, name: str) -> dict[str, bytes]:
        if name not in self.world.volumes:
            raise NotFoundError(f"no volume {name!r}")
        return self.world.volumes[name]


class Status:
    def __init__(self, world: World) -> None:
        self.world = world

    def ready(self) -> bool:
        return True

    def status(self) -> StatusView:
        live = [i for i in self.world.instances if i.state.live]
        return StatusView(
            version="0.1.0", protocol=1, home="/home/min/.freehold", url="http://127.0.0.1:8700", pid=41822,
            started=self.world.now - 93_400, cpu_total=16, cpu_reserved=5.25, memory_total_mib=64_000, memory_reserved_mib=18_432,
            devices=self.world.devices, apps=len(self.world.apps), instances=len(live),
            backlog=sum(f.backlog for a in self.world.apps for f in a.functions), running=sum(i.running for i in live),
            guards=self.world.guards,
        )  # fmt: skip


def function(app: str, app_id: str, name: str, **changes: Any) -> FunctionView:
    plain = FunctionView(
        id=fake_id("fu", len(app + name)), app_id=app_id, app=app, name=name, kind="function", digest="d" * 64, endpoints={},
        image="a" * 64, cpu=0.125, memory_mib=128, gpu=(), timeout_s=300, min_instances=0, max_instances=None, instances=0,
        backlog=0, running=0,
    )  # fmt: skip
    web = {name: EndpointView(url=url) for name, url in changes.get("endpoints", {}).items()}
    return replace(plain, **{"web": web} | changes)


def line(message: str, *, at: float, **changes: Any) -> LogLine:
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    plain = LogLine(timestamp=stamp, level="info", message=message, logger="", service="ocr-service", type="inference")
    return replace(plain, **changes)


def hostile() -> World:
    """Script in every text that a user or a program can choose."""
    world = World()
    now, app_id = world.now, fake_id("ap", 1)
    gone = AttemptView(
        index=0,
        attempt=1,
        instance=fake_id("in", 1),
        state=CallState.FAILED,
        started=now - 9,
        ended=now - 8,
        error=HOSTILE,
    )
    world.apps = [
        AppView(
            id=app_id, name=HOSTILE, state=AppState.DEPLOYED, version=2, created=now - 60, stopped=None, description=HOSTILE, instances=1,
            functions=(
                function(HOSTILE, app_id, HOSTILE, doc=HOSTILE, endpoints={HOSTILE: "javascript:alert(1)", "": f"http://x/{HOSTILE}"},
                         methods=(HOSTILE,), kind="cls", schedule=HOSTILE, next_run=now + 60),
            ),
            tags={HOSTILE: HOSTILE},
        )
    ]  # fmt: skip
    world.versions = [
        VersionView(app=HOSTILE, version=v, created=now, tag=HOSTILE, client=HOSTILE, current=v == 2, functions=(HOSTILE,)) for v in (2, 1)
    ]  # fmt: skip
    call = CallView(
        id=fake_id("fc", 1), app_id=app_id, app=HOSTILE, function_id=fake_id("fu", 1), function=HOSTILE, kind="map", state=CallState.FAILED,
        created=now - 10, started=now - 9, ended=now, inputs=1, succeeded=0, failed=1, parent=fake_id("fc", 0), error=HOSTILE,
    )  # fmt: skip
    failed = InputView(
        index=0, state=CallState.FAILED, attempt=2, method=HOSTILE, instance=fake_id("in", 1), created=now - 10, started=now - 5, ended=now,
        args_bytes=10, result_bytes=None, error=HOSTILE, traceback=HOSTILE,
    )  # fmt: skip
    world.calls = [replace(call, id=fake_id("fc", n)) for n in range(2, 9)] + [call]
    world.details = {call.id: CallDetail(call=call, inputs=(failed,), attempts=(gone,))}
    world.instances = [
        InstanceView(
            id=fake_id("in", 1), app_id=app_id, app=HOSTILE, function_id="", function=HOSTILE, version=1, state=InstanceState.ERROR,
            created=now - 9, ready=None, ended=now, reason=HOSTILE, pid=None, running=0, slots=1, devices=(HOSTILE,), phases={HOSTILE: 1.0},
            cpu=1, memory_mib=1,
        )
    ]  # fmt: skip
    world.lines = [
        line(HOSTILE, at=now, level=level, app=HOSTILE, function=HOSTILE, service=HOSTILE, instance=fake_id("in", 1), call=call.id, extra={HOSTILE: HOSTILE, "error.stack": HOSTILE})
        for level in ("info", "error")
    ]  # fmt: skip
    world.secrets = [SecretView(name=HOSTILE, keys=(HOSTILE,), created=now, updated=now)]
    world.volumes = {
        HOSTILE.replace("/", "|"): {HOSTILE.replace("/", "|"): b"x", f"dir{HOSTILE.replace('/', '|')}/x": b""}
    }
    world.guards = {HOSTILE: HOSTILE}
    world.devices = (HOSTILE,)
    return world


_PHASES = {"prepare": 0.004, "parent": 2.912, "fork": 0.007, "import": 1.703, "snap": 0.42, "enter": 0.842}
_SAYS = (
    ("stdout", "info", "이미지 1장 처리 완료: 인식된 글자 1,284자"),
    ("stdout", "info", "page 17/40  boxes=132  0.412 s"),
    ("", "info", "model_loaded"),
    ("stderr", "info", "UserWarning: falling back to CPU execution provider"),
    ("", "warning", "slow_input"),
    ("stdout", "info", "\x1b[32mdone\x1b[0m scan-0017.png"),
)


def busy() -> World:
    """A platform at work: two deployed apps, a run, calls in every state."""
    world = World(devices=("A10G 0 (simulated)", "A10G 1 (simulated)"))
    now, rng = world.now, random.Random(7)
    ocr, studio, nightly, old = (fake_id("ap", n) for n in (1, 2, 3, 4))
    world.apps = [
        AppView(
            id=ocr, name="ocr-service", state=AppState.DEPLOYED, version=7, created=now - 86_400 * 3, stopped=None,
            description="examples/ocr_service/app.py", instances=4, tags={"team": "documents"},
            functions=(
                function("ocr-service", ocr, "Ocr", kind="cls", cpu=2, memory_mib=2048, instances=3, backlog=14, running=6, max_instances=8,
                    doc="문서 이미지를 읽는 OCR 모델 서버. Detects text boxes, then reads them.",
                    endpoints={"predict": "http://127.0.0.1:8701", "health": "http://127.0.0.1:8702"}, methods=("read",),
                    web={"predict": EndpointView(url="http://127.0.0.1:8701", method="POST", requires_proxy_auth=True, docs=True),
                         "health": EndpointView(url="http://127.0.0.1:8702", method="GET")}, min_instances=1, gpu=("A10G", "T4")),
                function("ocr-service", ocr, "split_pdf", cpu=0.5, memory_mib=512, instances=1, running=1, timeout_s=900,
                    doc="Turn a PDF into one image a page."),
            ),
        ),
        AppView(
            id=studio, name="lora-studio", state=AppState.DEPLOYED, version=2, created=now - 7200, stopped=None, description="studio.py",
            instances=1, functions=(function("lora-studio", studio, "train", gpu=("A100-80GB:2",), instances=1, running=1, timeout_s=14_400),
                function("lora-studio", studio, "Generate", kind="cls", endpoints={"": "http://127.0.0.1:8703"})),
        ),
        AppView(id=nightly, name="한글-배치", state=AppState.EPHEMERAL, version=1, created=now - 95, stopped=None, description="batch.py", instances=2,
            functions=(function("한글-배치", nightly, "embed", instances=2, backlog=1_204, running=2,
                schedule="Cron('0 3 * * *', 'Asia/Seoul')", next_run=1_900_000_000.0),)),
        AppView(id=old, name="hello", state=AppState.STOPPED, version=1, created=now - 9e5, stopped=now - 8e5, description="hello.py", instances=0),
    ]  # fmt: skip
    world.versions = [
        VersionView(app="ocr-service", version=v, created=now - 86_400 * (7 - v) / 2 - 600, tag=t, client="freehold 0.1.0", current=v == 7, functions=("Ocr", "split_pdf"))
        for v, t in ((7, "f3a91c2"), (6, "90be114"), (5, None), (4, "first scaling test"))
    ]  # fmt: skip

    def instance(n: int, state: InstanceState, **changes: Any) -> InstanceView:
        phases = {k: v * rng.uniform(0.3, 1.6) for k, v in _PHASES.items()}
        plain = InstanceView(
            id=fake_id("in", n), app_id=ocr, app="ocr-service", function_id="", function="Ocr", version=7, state=state, created=now - n * 640,
            ready=now - n * 640 + sum(phases.values()), ended=None, reason=None, pid=40_000 + n, running=0, slots=4,
            devices=("A10G 0",), phases=phases, cpu=2, memory_mib=2048, simulated=True,
        )  # fmt: skip
        return replace(plain, **changes)

    world.instances = [
        instance(1, InstanceState.STARTING, ready=None, phases={"prepare": 0.004, "parent": 1.71}, created=now - 2.1),
        instance(2, InstanceState.BUSY, running=4), instance(3, InstanceState.BUSY, running=2), instance(4, InstanceState.IDLE),
        instance(5, InstanceState.DRAINING, version=6, running=1),
        instance(6, InstanceState.BUSY, function="split_pdf", devices=(), simulated=False, slots=1, running=1),
        instance(7, InstanceState.ERROR, ready=None, ended=now - 4000, reason="StartError: ModuleNotFoundError: No module named 'rapidocr'",
            phases={"prepare": 0.002, "parent": 0.4, "failed_in": 0.0}),
        instance(8, InstanceState.OFFLINE, ended=now - 3300, reason="idle for 60 s"),
        instance(9, InstanceState.BUSY, app="lora-studio", app_id=studio, function="train", running=1, slots=1),
    ]  # fmt: skip
    states = [CallState.SUCCEEDED] * 14 + [CallState.FAILED, CallState.TIMED_OUT, CallState.CANCELLED]
    for n in range(180):
        app, name = rng.choice([(ocr, "Ocr.predict"), (ocr, "Ocr.predict"), (ocr, "split_pdf"), (studio, "train")])
        state = CallState.RUNNING if n > 176 else CallState.PENDING if n == 176 else rng.choice(states)
        created = now - (180 - n) * 41 - rng.random() * 9
        started = None if state is CallState.PENDING else created + rng.expovariate(9)
        took = rng.lognormvariate(-1, 0.8) * (9 if name == "split_pdf" else 400 if name == "train" else 1)
        many = 40 if name == "split_pdf" and n % 3 == 0 else 1
        bad = state in (CallState.FAILED, CallState.TIMED_OUT)
        world.calls.append(
            CallView(
                id=fake_id("fc", n), app_id=app, app="ocr-service" if app == ocr else "lora-studio", function_id="", function=name,
                kind="map" if many > 1 else rng.choice(["remote", "web", "spawn"]), state=state, created=created, started=started,
                ended=started + took if started and state.final else None, inputs=many, failed=3 if bad and many > 1 else int(bad),
                succeeded=0 if not state.final else many - (3 if bad and many > 1 else int(state is not CallState.SUCCEEDED)),
                error="ValueError: page has no text: 'scan-0017.png'" if state is CallState.FAILED else "timed out after 300 s" if bad else None,
            )
        )  # fmt: skip
    world.details[world.calls[60].id] = _map_call(world.calls[60], now, rng)
    world.calls[60] = world.details[world.calls[60].id].call
    for n in range(160):
        stream, level, message = _SAYS[n % len(_SAYS)]
        extra: dict[str, Any] = {"duration_ms": 412.5, "pages": 17} if not stream else {}
        world.lines.append(line(message, at=now - (160 - n) * 1.7, stream=stream, level=level, app="ocr-service", function="Ocr",
            instance=fake_id("in", 2 + n % 3), call=world.calls[60].id if n % 2 else "", extra=extra, seq=n))  # fmt: skip
    world.lines.append(line("input_failed", at=now - 1, level="error", app="ocr-service", function="Ocr", instance=fake_id("in", 2),
        call=world.calls[60].id, extra={"error.type": "ValueError", "attempt": 2, "error.stack": TRACEBACK}))  # fmt: skip
    world.secrets = [
        SecretView(name="huggingface", keys=("HF_TOKEN",), created=now - 9e5, updated=now - 4000),
        SecretView(name="object-store", keys=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "S3_ENDPOINT"), created=now - 8e5, updated=now - 8e5),
    ]  # fmt: skip
    world.volumes = {
        "models": {"rapidocr/det.onnx": b"x" * 4_700_000, "rapidocr/rec.onnx": b"x" * 10_900_000, "읽어보기.txt": b"x" * 420, "README.md": b"# models"},
        "datasets": {},
    }  # fmt: skip
    world.guards = {
        "bubblewrap": "ok", "pdeathsig": "ok",
        "cgroup": "no cgroup can be made here, so memory limits are not enforced: run the server in a systemd scope with Delegate=yes",
        "sqlite": "SQLite 3.40.1 has a WAL bug with several writers (fixed in 3.51.3); this server has one writer",
    }  # fmt: skip
    return world


def _map_call(call: CallView, now: float, rng: random.Random) -> CallDetail:
    """A map of which one input failed for good, after retries."""
    created, inputs, attempts = call.created, list[InputView](), list[AttemptView]()
    for n in range(12):
        begin = created + 0.05 + (n // 4) * 1.3 + rng.random() * 0.2
        took, bad, retried = 0.6 + rng.random() * 0.6, n == 6, n in (2, 6)
        if retried:
            attempts.append(AttemptView(index=n, attempt=1, instance=fake_id("in", 3), state=CallState.FAILED, started=begin, ended=begin + took / 2,
                error="ValueError: page has no text: 'scan-0017.png'"))  # fmt: skip
            begin += took / 2 + 0.8
        inputs.append(
            InputView(index=n, state=CallState.FAILED if bad else CallState.SUCCEEDED, attempt=2 if retried else 1, method="predict",
                instance=fake_id("in", 2 + n % 3), created=created, started=begin, ended=begin + took, args_bytes=48_211 + n * 977,
                result_bytes=None if bad else 2_310 + n * 31, error="ValueError: page has no text: 'scan-0017.png'" if bad else None,
                traceback=TRACEBACK if bad else None)
        )  # fmt: skip
    ended = max(i.ended or now for i in inputs)
    view = replace(call, function="Ocr.predict", kind="map", state=CallState.FAILED, started=created + 0.05, ended=ended, inputs=12, succeeded=11,
        failed=1, error="1 of 12 inputs failed")  # fmt: skip
    return CallDetail(call=view, inputs=tuple(inputs), attempts=tuple(attempts))
