"""A server in this process: a real link on a Unix socket and a tiny HTTP API, with user code run in threads."""

import asyncio
import dataclasses
import hashlib
import inspect
import socketserver
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import msgspec

from freehold.core.digests import image_digest
from freehold.core.ids import new_id
from freehold.core.specs import FunctionSpec, Scaling, SecretRef
from freehold.protocol.frames import (
    Accepted,
    Cancel,
    Consumed,
    Extend,
    Frame,
    FromPeer,
    Hello,
    Input,
    Item,
    Output,
    Payload,
    Refused,
    Status,
    Submit,
    Subscribe,
    Welcome,
)  # fmt: skip
from freehold.protocol.link import Link
from freehold.protocol.schemas import (
    AppHandle,
    AppRequest,
    Digests,
    FileView,
    FunctionHandle,
    ImageRequest,
    ImageView,
    ScalingRequest,
    SecretView,
    VariantRequest,
    VariantView,
    VolumeView,
)
from freehold.protocol.version import ENVIRONMENT_HEADER, PROTOCOL_VERSION, VERSION_HEADER
from freehold.sdk import client as clients
from freehold.sdk import context
from freehold.sdk.client import Client, use
from freehold.sdk.cls import construct, decode_parameters, hooks
from freehold.sdk.config import Target
from freehold.sdk.serialization import dump_failure, dumps, load_arguments

TOKEN = "fake-token"
Answer = tuple[int, Any]


class FakeServer:
    """Runs what apps declare. Tests look at `submits` and `cancelled`, and set `hold` or `drop` to make trouble."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.link_path, self.api_path = folder / "link.sock", folder / "api.sock"
        self.arena = ""
        self.functions: dict[str, FunctionSpec] = {}
        self.apps: dict[str, AppHandle] = {}
        self.stopped: list[str] = []
        self.requests: list[AppRequest] = []
        self.blobs: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.variants: list[VariantRequest] = []
        self.scalings: list[ScalingRequest] = []
        self.secrets: dict[str, dict[str, str]] = {}
        self.environments: list[str] = []  # that requests about volumes and secrets were for
        self.volume_requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.hellos: list[Hello] = []
        self.submits: list[Submit] = []
        self.extends: list[Extend] = []
        self.consumed = 0
        self.cancelled: list[str] = []
        self.outputs: dict[str, list[Output]] = {}
        self.deaf = False  # takes calls and answers none
        self.protocol = PROTOCOL_VERSION
        self.image_failure: str | None = None
        self.links: list[Link[FromPeer]] = []
        self._answered: set[tuple[str, int]] = set()
        self._watching: dict[str, list[Link[FromPeer]]] = {}
        self._pool = ThreadPoolExecutor(8)

    # ---- life

    @contextmanager
    def running(self) -> "Generator[FakeServer]":
        started = threading.Event()
        thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        thread.start()
        assert started.wait(5)
        api = _HttpServer(str(self.api_path), _handler(self))
        api_thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        api_thread.start()
        try:
            yield self
        finally:
            api.shutdown()
            api.server_close()
            self.loop.call_soon_threadsafe(self.stop.set)
            thread.join(5)
            self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def target(self) -> Target:
        return Target(api=f"unix:{self.api_path}", link=f"unix:{self.link_path}", token=TOKEN, token_source="a test")

    def break_links(self) -> None:
        """Hang up on everyone; they may dial again."""
        for link in list(self.links):
            self.loop.call_soon_threadsafe(link.abort)

    def _serve(self, started: threading.Event) -> None:
        asyncio.run(self._listen(started))

    async def _listen(self, started: threading.Event) -> None:
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        decoder = msgspec.msgpack.Decoder(list[FromPeer])
        server = await self.loop.create_unix_server(
            lambda: Link(
                decoder, self._receive, lambda link, _: self.links.remove(link) if link in self.links else None
            ),
            str(self.link_path),
        )
        started.set()
        await self.stop.wait()
        server.close()
        for link in list(self.links):
            link.abort()
        await asyncio.sleep(0)

    # ---- the link

    def _receive(self, link: Link[FromPeer], messages: list[FromPeer]) -> None:
        for message in messages:
            if isinstance(message, Hello):
                self._hello(link, message)
            elif isinstance(message, Submit):
                self.submits.append(message)
                link.send(Accepted(message.call, 1 + max((i.index for i in message.inputs), default=-1)))
                self._watching.setdefault(message.call, []).append(link)
                self._run_all(message, message.inputs)
            elif isinstance(message, Extend):
                self.extends.append(message)
                if message.inputs:
                    link.send(Accepted(message.call, 1 + message.inputs[-1].index))
                self._run_all(next(s for s in self.submits if s.call == message.call), message.inputs)
            elif isinstance(message, Cancel):
                self.cancel(message.call)
            elif isinstance(message, Subscribe):
                self._subscribe(link, message.call)
            elif isinstance(message, Consumed):
                self.consumed += message.count

    def _hello(self, link: Link[FromPeer], hello: Hello) -> None:
        self.hellos.append(hello)
        if hello.protocol != self.protocol:
            link.send(
                Refused(
                    "",
                    "failed_precondition",
                    f"this client speaks protocol 1 and the server speaks {self.protocol}: freehold down",
                )
            )
            link.close()
        elif hello.token != TOKEN:
            link.send(Refused("", "unauthenticated", "unknown token"))
            link.close()
        else:
            self.links.append(link)
            link.send(Welcome("sv-1", "0.1.0", self.arena))

    def tell(self, message: Frame) -> None:
        """Send a message to everyone."""
        for link in list(self.links):
            self.loop.call_soon_threadsafe(link.send, message)

    def cancel(self, call: str) -> None:
        self.cancelled.append(call)
        self._answer(Output(call, 0, Status.CANCELLED, Payload()))

    def _subscribe(self, link: Link[FromPeer], call: str) -> None:
        if not any(s.call == call for s in self.submits):
            link.send(Refused(call, "not_found", f"no call {call!r}"))
            return
        self._watching.setdefault(call, []).append(link)
        for output in self.outputs.get(call, []):
            link.send(output)

    def _run_all(self, submit: Submit, inputs: list[Input]) -> None:
        for one in inputs:
            if not self.deaf and (submit.call, one.index) not in self._answered:
                self._pool.submit(self._run, submit, one)

    def _run(self, submit: Submit, one: Input) -> None:
        tokens = context.enter_input(submit.call, one.index)
        try:
            call = self._callable(self.functions[submit.function], submit.parameters, one.method)
            args, kwargs = load_arguments(one.payload, source=clients.current().source)
            result = call(*args, **kwargs)
            if inspect.isawaitable(result):
                result = asyncio.run(cast("Any", result))
            status = Status.OK
            if inspect.isgenerator(result):
                for sequence, item in enumerate(cast("Iterator[Any]", result)):
                    self._send(submit.call, Item(submit.call, one.index, 1, sequence, dumps(item)))
                result, status = None, Status.GENERATOR_DONE
            output = Output(submit.call, one.index, status, dumps(result))
        except BaseException as error:  # noqa: BLE001
            output = Output(submit.call, one.index, Status.ERROR, dump_failure(error))
        finally:
            context.leave_input(tokens)
        self.loop.call_soon_threadsafe(self._answer, output)

    def _callable(self, spec: FunctionSpec, parameters: bytes, method: str) -> Callable[..., Any]:
        found: Any = sys.modules[spec.module]
        for part in spec.qualname.split("."):
            found = getattr(found, part)
        raw = getattr(found, "raw", found)
        if spec.kind == "function":
            return raw
        made = construct(raw, decode_parameters(parameters))
        for hook in (*hooks(raw).snap, *hooks(raw).enter):
            hook(made)
        return getattr(made, method)

    def _answer(self, output: Output) -> None:
        if (output.call, output.index) in self._answered:
            return
        self._answered.add((output.call, output.index))
        self.outputs.setdefault(output.call, []).append(output)
        for link in self._watching.get(output.call, []):
            link.send(output)

    def _send(self, call: str, message: Item) -> None:
        for link in self._watching.get(call, []):
            self.loop.call_soon_threadsafe(link.send, message)

    # ---- HTTP

    def handle(self, method: str, url: str, body: bytes) -> Answer:
        path = urlsplit(url).path
        query = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
        parts = path.strip("/").split("/")[1:]
        match (method, *parts):
            case ("POST", "apps", "check"):
                return 200, {}
            case ("POST", "apps"):
                return 200, self._create(msgspec.json.decode(body, type=AppRequest))
            case ("POST", "apps", app, "stop"):
                self.stopped.append(app)
                return 200, {}
            case ("POST", "blobs", "missing"):
                asked = msgspec.json.decode(body, type=Digests).digests
                return 200, Digests(digests=[d for d in asked if d not in self.blobs])
            case ("PUT", "blobs", digest):
                assert hashlib.sha256(body).hexdigest() == digest
                self.blobs[digest] = body
                return 200, {}
            case ("GET", "blobs", digest):
                return 200, self.blobs[digest]
            case ("POST", "images"):
                return 200, self._image(msgspec.json.decode(body, type=ImageRequest))
            case ("POST", "pools", "variants"):
                return 200, self._admit(msgspec.json.decode(body, type=VariantRequest))
            case ("POST", "pools", "scaling"):
                self.scalings.append(msgspec.json.decode(body, type=ScalingRequest))
                return 200, Scaling()
            case ("GET", "functions", app, name):
                return self._lookup(app, name)
            case ("GET", "calls", call):
                return 200, self._call(call)
            case ("POST", "calls", call, "cancel"):
                self.loop.call_soon_threadsafe(self.cancel, call)
                return 200, {"terminate": query.get("terminate", "false")}
            case (_, "secrets", *rest):
                return self._secret(method, rest, body)
            case ("GET", "volumes"):
                return 200, [_volume_view(name, created) for created, name in enumerate(["old", "middle", "new"])]
            case ("PUT" | "GET" | "DELETE" | "POST", "volumes", name, *rest):
                self.volume_requests.append((method, "/".join([name, *rest]), query, body))
                return self._volume(method, name, rest, body)
            case _:
                return _error(404, "not_found", f"no route {method} {path}", "NotFoundError")

    def _create(self, request: AppRequest) -> AppHandle:
        self.requests.append(request)
        handles: dict[str, FunctionHandle] = {}
        for spec in request.spec.functions:
            handle = FunctionHandle(
                id=new_id("fu"), name=spec.name, is_generator=spec.is_generator, methods=tuple(m.name for m in spec.methods),
                endpoints={m: f"http://127.0.0.1:1/{spec.name}/{m}" for m in spec.endpoints()}, parameters=spec.parameters,
            )  # fmt: skip
            handles[spec.name], self.functions[handle.id] = handle, spec
        app = AppHandle(
            id=new_id("ap"), name=request.spec.name or "anonymous", version=1, url="http://x", functions=handles
        )
        self.apps[app.name] = app
        return app

    def _admit(self, request: VariantRequest) -> VariantView:
        """As the server does: secrets' values are sealed, and equal overrides have one id."""
        self.variants.append(request)
        secrets = request.overrides.secrets
        sealed = None if secrets is None else tuple(SecretRef(sealed="st-1") if s.values else s for s in secrets)
        overrides = dataclasses.replace(request.overrides, secrets=sealed)
        return VariantView(id=overrides.digest(), overrides=overrides)

    def _image(self, request: ImageRequest) -> list[Any]:
        if self.image_failure:
            error = {"code": "failed_precondition", "message": self.image_failure, "type": "ImageBuildError"}
            return [{"log": "step 1"}, {"error": error}]
        return [{"log": "step 1"}, {"image": ImageView(digest=image_digest(request.spec), state="ready", created=0.0)}]

    def _lookup(self, app: str, name: str) -> Answer:
        if app in self.apps and name in self.apps[app].functions:
            return 200, self.apps[app].functions[name]
        return _error(404, "not_found", f"app {app!r} has no function {name!r}", "NotFoundError")

    def _call(self, call: str) -> dict[str, Any]:
        state = "succeeded" if call in self.outputs else "running"
        view = {
            "id": call, "app_id": "ap", "app": "a", "function_id": "fu", "function": "f", "kind": "spawn", "state": state,
            "created": 0, "started": 0, "ended": None, "inputs": 1, "succeeded": 0, "failed": 0,
        }  # fmt: skip
        return {"call": view, "inputs": [], "attempts": []}

    def _secret(self, method: str, rest: list[str], body: bytes) -> Answer:
        if not rest:
            return 200, [_secret_view(name, values) for name, values in self.secrets.items()]
        name, there = rest[0], rest[0] in self.secrets
        given: dict[str, Any] = msgspec.json.decode(body) if body else {}
        if not there and method != "PUT":
            return _error(404, "not_found", f"there is no secret {name!r}", "NotFoundError")
        if there and method == "PUT" and not given["force"]:
            return _error(409, "already_exists", "is there", "AlreadyExistsError")
        if method == "DELETE":
            return 200, self.secrets.pop(name) and {}
        if method == "PUT":
            self.secrets[name] = {}
        self.secrets[name] |= given.get("values", {})
        return 200, _secret_view(name, self.secrets[name])

    def _volume(self, method: str, name: str, rest: list[str], body: bytes) -> Answer:
        key = "/".join([name, *rest[1:]])
        if rest[:1] == ["list"]:
            files = {k.removeprefix(f"{name}/"): v for k, v in self.files.items()}
            return 200, [FileView(path=k, type="file", bytes=len(v), modified=0.0) for k, v in files.items()]
        if method == "POST":
            return 200, {}
        if not rest and name == "missing":
            return _error(404, "not_found", "no volume 'missing'", "NotFoundError")
        if not rest and method == "GET":
            return 200, _volume_view(name, 7.0)
        if method == "PUT" and not rest:
            return (200, {}) if name != "taken" else _error(409, "already_exists", "is there", "AlreadyExistsError")
        if method == "PUT":
            self.files[key] = body
        elif method == "DELETE":
            self.files.pop(key, None)
        elif key not in self.files:
            return _error(404, "not_found", f"no file {key!r}", "NoFileError")
        return 200, self.files.get(key, b"") if method == "GET" else {}


VOLUME_ID = "vo-" + "0" * 28


def _secret_view(name: str, values: dict[str, str]) -> SecretView:
    return SecretView(name=name, keys=tuple(values), created=len(name), updated=0.0, id=f"st-{name}")


def _volume_view(name: str, created: float) -> VolumeView:
    return VolumeView(name="by-id" if name == VOLUME_ID else name, created=created, id=VOLUME_ID)


def until(done: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    for _ in range(1000):
        if done():
            return
        threading.Event().wait(0.005)
    raise AssertionError(done)


def _error(status: int, code: str, message: str, kind: str) -> Answer:
    return status, {"error": {"code": code, "message": message, "type": kind, "request_id": "rq-1"}}


class _HttpServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, value = _error(401, "unauthenticated", "unknown token", "AuthError")
            else:
                if self.path.startswith(("/v1/volumes", "/v1/secrets")):
                    server.environments.append(self.headers.get(ENVIRONMENT_HEADER, ""))
                status, value = server.handle(self.command, self.path, body)
            if isinstance(value, bytes):
                data = value
            elif isinstance(value, list) and self.path == "/v1/images":
                data = b"".join(msgspec.json.encode(line) + b"\n" for line in cast("list[Any]", value))
            else:
                data = msgspec.json.encode(value)
            self.send_response(status)
            self.send_header(VERSION_HEADER, str(server.protocol))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815 (http.server's names)

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

        def address_string(self) -> str:
            return "unix"

    return Handler


@contextmanager
def served(folder: Path) -> Generator[FakeServer]:
    """A server, and this process's client connected to it."""
    server = FakeServer(folder)
    with server.running():
        client = Client(server.target, give_up_s=2.0)
        use(client)
        try:
            yield server
        finally:
            client.close()
            use(None)
