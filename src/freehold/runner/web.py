"""Web endpoints of an instance: uvicorn on a Unix socket of its own for each, or the port of a server that the user starts."""

import asyncio
import contextlib
import inspect
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from freehold.core.errors import InvalidError, StartupTimeoutError
from freehold.core.specs import Web
from freehold.protocol.control import Fork
from freehold.runner import output
from freehold.runner.asgi import Asgi
from freehold.runner.load import Target, UserCode
from freehold.runner.porter import Porter

_BACKLOG = 2048
_POLL_S = 0.02
_WSGI_THREADS = 10
_NO_LIFESPAN = "the web app did not start: its lifespan failed (its log has the reason)"


class Endpoints:
    """All web endpoints of one instance; `addresses` are by method, as Ready says them."""

    def __init__(self, user: UserCode, request: Fork, out: output.Output, porter: Porter | None = None) -> None:
        self._user, self._request, self._output, self._porter = user, request, out, porter
        self.targets = {name: t for name, t in user.targets.items() if t.web is not None}
        self.addresses: dict[str, str] = {}
        self._servers: list[tuple[Any, asyncio.Task[None], Path]] = []

    def check_ports(self) -> None:
        """Raise where another program has the port of one: who asks for ours would get that one."""
        for target in self.targets.values():
            port = target.web.port if target.web is not None else None
            if port is not None and self._porter is None and answers(port):
                msg = f"port {port} is taken by another program of this machine: stop that program, or let this one serve on another port"
                raise InvalidError(msg)

    async def start(self, slots: int) -> None:
        """Serve every endpoint; returns when all of them answer."""
        from freehold.runner.callers import Callers

        callers = Callers(slots)
        for number, (name, target) in enumerate(self.targets.items()):
            assert target.web is not None
            if target.web.port is not None:
                self.addresses[name] = await self._own_server(target, target.web, target.web.port)
            else:
                app = await self._app(name, target, target.web, slots)
                self.addresses[name] = await self._serve(callers.before(app), number)

    async def stop(self, grace_s: float) -> None:
        """Let running requests finish, then end the servers."""
        for server, _, _ in self._servers:
            server.should_exit = True
        tasks = [task for _, task, _ in self._servers]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for _, task, path in self._servers:
            task.cancel()
            path.unlink(missing_ok=True)

    # ---- how

    async def _app(self, name: str, target: Target, web: Web, slots: int) -> Asgi:
        shown = f"{self._user.spec.name}.{name}" if name else self._user.spec.name
        if web.kind == "fastapi_endpoint":
            return fastapi_app(target.call, web, shown)
        made = await _called(target)
        if not callable(made):
            msg = f"{shown!r} is a {web.kind} and must return an app; it returned a {type(made).__qualname__!r}"
            raise InvalidError(msg)
        if web.kind == "wsgi_app":
            from freehold.runner.wsgi import Wsgi

            return Wsgi(made, threads=max(slots, _WSGI_THREADS))  # type: ignore[arg-type]
        return made  # type: ignore[no-any-return]

    async def _serve(self, app: Asgi, number: int) -> str:
        import uvicorn

        path = Path(self._request.sockets) / f"{self._request.instance[-12:]}-{number}.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="auto", ws="auto", http="auto",
            proxy_headers=True, forwarded_allow_ips="*", server_header=False, timeout_graceful_shutdown=None,
        )  # fmt: skip
        server = _server(config)
        task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        while not server.started:
            if task.done():
                task.result()
                raise InvalidError(_NO_LIFESPAN)
            await asyncio.sleep(0.001)
        self._servers.append((server, task, path))
        return f"unix:{path}"

    async def _own_server(self, target: Target, web: Web, port: int) -> str:
        await _called(target)
        limit = web.startup_timeout_s or 5.0
        until = time.monotonic() + limit
        while not answers(port):
            if time.monotonic() > until:
                who = "@enter hooks" if web.kind == "server" else "@web_server's function"
                msg = f"nothing listens on port {port} {limit:g} s after the {who} returned: raise startup_timeout, or check the port"
                raise StartupTimeoutError(msg)
            await asyncio.sleep(_POLL_S)
        return self._porter.address(port) if self._porter is not None else f"tcp:127.0.0.1:{port}"


async def _called(target: Target) -> Any:
    """What the user's function returns; a plain one is called off the loop, so that it may run one of its own."""
    made = target.call() if target.is_async else await asyncio.to_thread(target.call)
    return await made if inspect.isawaitable(made) else made


def fastapi_app(function: Callable[..., Any], web: Web, title: str) -> Asgi:
    """A FastAPI app with the function as its one route, open to every origin."""
    from fastapi import FastAPI
    from fastapi.middleware.cors import CORSMiddleware

    app = FastAPI(
        title=title,
        openapi_url="/openapi.json" if web.docs else None,
        docs_url="/docs" if web.docs else None,
        redoc_url=None,
    )
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_credentials=True, allow_methods=["*"], allow_headers=["*"]
    )
    app.add_api_route("/", function, methods=[web.method])
    return app  # type: ignore[return-value]


def _server(config: Any) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves signals and the end of the process to the instance."""

        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            try:
                await super().serve(sockets)
            except SystemExit:
                raise InvalidError(_NO_LIFESPAN) from None

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

    return Server(config)


def answers(port: int) -> bool:
    """Whether something listens on a port of this network's loopback."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((host, port)) == 0:
                return True
    return False
