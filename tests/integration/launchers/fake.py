"""A server in miniature: listens on the link socket, drives a real launcher, and keeps what instances say."""

import asyncio
import contextlib
import json
import pickle
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import cloudpickle
import msgspec

from freehold.core.home import Home
from freehold.core.specs import FunctionSpec
from freehold.launchers.contract import Exit, StartRequest
from freehold.launchers.process.launcher import ProcessLauncher
from freehold.protocol.frames import (
    CancelInput,
    Drain,
    Execute,
    Format,
    FromInstance,
    Item,
    Join,
    Payload,
    Ready,
    RemoteFailure,
    Result,
    Returned,
    StartFailed,
    Welcome,
)  # fmt: skip
from freehold.protocol.link import Link
from freehold.protocol.payload import decode_failure

_decoder: "msgspec.msgpack.Decoder[list[FromInstance]]" = msgspec.msgpack.Decoder(list[FromInstance])
WAIT_S = 20.0


@dataclass(eq=False)
class FakeInstance:
    """An instance as the fake server sees it."""

    id: str
    output: Path
    link: "Link[FromInstance] | None" = None
    pid: int = 0
    phases: dict[str, float] = field(default_factory=dict[str, float])
    ready: "asyncio.Future[Ready]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    results: dict[tuple[str, int], "asyncio.Future[Result]"] = field(
        default_factory=dict[tuple[str, int], "asyncio.Future[Result]"]
    )
    items: list[Item] = field(default_factory=list[Item])
    returned: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    exit: "asyncio.Future[Exit]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    started_at: float = 0.0

    def send(self, message: Any) -> None:
        assert self.link is not None
        self.link.send(message)

    def execute(self, *args: Any, method: str = "", call: str = "fc-1", index: int = 0, timeout_s: float = 30, generator: bool = False,
                payload: Payload | None = None, **kwargs: Any) -> "asyncio.Future[Result]":  # fmt: skip
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.results[call, index] = future
        data = payload or Payload(data=cast(Any, cloudpickle).dumps((args, kwargs), protocol=5))
        self.send(Execute(call, index, 1, method, data, timeout_s, generator))
        return future

    async def call(self, *args: Any, **options: Any) -> Result:
        return await asyncio.wait_for(self.execute(*args, **options), WAIT_S)

    async def value(self, *args: Any, **options: Any) -> Any:
        result = await self.call(*args, **options)
        assert result.status == 0, decode_failure(result.payload)
        return value_of(result.payload)

    async def failure(self, *args: Any, **options: Any) -> RemoteFailure:
        result = await self.call(*args, **options)
        assert result.status == 1, result
        return decode_failure(result.payload)

    def cancel(self, call: str = "fc-1", index: int = 0) -> None:
        self.send(CancelInput(call, index, 1))

    def drain(self) -> None:
        self.send(Drain(5.0))

    def records(self) -> list[Any]:
        """What its output file holds: lists for records, strings for raw lines."""
        lines = self.output.read_bytes().split(b"\n")
        return [json.loads(line[1:]) if line[:1] == b"\x1e" else line.decode() for line in lines if line]


class FakeServer:
    def __init__(self, home: Home, launcher: ProcessLauncher, image: Path) -> None:
        self.home, self.launcher, self.image = home, launcher, image
        self.instances: dict[str, FakeInstance] = {}
        self.start_failures: list[StartFailed] = []
        self._number = 0
        launcher.exited = self._exited

    async def start(self, spec: FunctionSpec, source: Path, *, pool: str | None = None, **changes: Any) -> FakeInstance:
        """Start an instance and wait until it is ready."""
        instance = await self.launch(spec, source, pool=pool, **changes)
        await asyncio.wait_for(instance.ready, WAIT_S)
        return instance

    async def launch(
        self, spec: FunctionSpec, source: Path, *, pool: str | None = None, **changes: Any
    ) -> FakeInstance:
        self._number += 1
        name = f"in-{time.time_ns() // 1_000_000:012x}{self._number:016x}"
        folder = self.home.instances / name
        folder.mkdir(parents=True)
        instance = self.instances[name] = FakeInstance(name, folder / "output")
        request = StartRequest(
            instance=name, token=f"token-{name}", pool=pool or f"{source}:{spec.name}", app_id="ap-1", app="test", function_id="fu-1",
            spec=spec, parameters=b"", image=self.image, mounts=((source, "/root"),), volumes=(),
            env={"FREEHOLD_TOKEN": f"token-{name}", "FREEHOLD_REMOTE": "1", "FREEHOLD_INSTANCE_ID": name} | spec.env,
            output=folder / "output", lease_s=3.0, link=self.home.link_socket, api=self.home.api_socket, arena=self.home.arena,
        )  # fmt: skip
        instance.started_at = time.time()
        started = await self.launcher.start(replace(request, **changes))
        instance.pid, instance.phases = started.pid, dict(started.phases)
        return instance

    def receive(self, link: "Link[FromInstance]", messages: list[FromInstance]) -> None:
        for message in messages:
            if isinstance(message, Join):
                link.peer = instance = self.instances[message.instance]
                assert message.token == f"token-{instance.id}"
                instance.link = link
                link.send(Welcome("server-1", "0"))
            else:
                self._take(link.peer, message)

    def _take(self, instance: FakeInstance, message: FromInstance) -> None:
        match message:
            case Ready():
                instance.phases |= message.phases | {"ready": time.time() - instance.started_at}
                instance.ready.set_result(message)
            case Result():
                future = instance.results.get((message.call, message.index))
                if future is not None and not future.done():
                    future.set_result(message)
            case Item():
                instance.items.append(message)
            case Returned():
                instance.returned += message.inputs
            case StartFailed():
                self.start_failures.append(message)
                instance.ready.set_exception(RuntimeError(message.failure.traceback))
            case _:
                pass

    def _exited(self, exit_: Exit) -> None:
        instance = self.instances.get(exit_.instance)
        if instance is not None and not instance.exit.done():
            instance.exit.set_result(exit_)


@contextlib.asynccontextmanager
async def serve(
    home: Home, image_of: "Callable[[ProcessLauncher], Awaitable[Path]]", **options: Any
) -> AsyncGenerator[FakeServer]:
    """A fake server with a launcher; everything is gone afterwards."""
    home.run.mkdir(parents=True, exist_ok=True)
    home.arena.mkdir(mode=0o700, exist_ok=True)
    launcher = ProcessLauncher(home, **options)
    server = FakeServer(home, launcher, await image_of(launcher))
    loop = asyncio.get_running_loop()
    home.link_socket.unlink(missing_ok=True)
    listener = await loop.create_unix_server(lambda: Link(_decoder, server.receive, _ignore), str(home.link_socket))
    try:
        yield server
    finally:
        await launcher.close()
        listener.close()
        for instance in server.instances.values():
            if instance.link is not None:
                instance.link.abort()
        await asyncio.sleep(0.01)  # for the transports to close


def _ignore(_link: Link[Any], _error: Exception | None) -> None: ...


def value_of(payload: Payload) -> Any:
    if payload.format == Format.JSON:
        return json.loads(payload.data)
    return pickle.loads(payload.data, buffers=[b.data for b in payload.buffers])
