"""A signed-in browser's client over played services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from httpx import ASGITransport, AsyncClient
from tests.unit.web.fakes import World, busy, hostile
from tests.unit.web.serving import TOKEN, dashboard

ORIGIN = "http://127.0.0.1:8700"
Enter = Callable[[World], Awaitable[AsyncClient]]


def browser(world: World, **headers: str) -> AsyncClient:
    return AsyncClient(
        transport=ASGITransport(dashboard(world)), base_url=ORIGIN, headers={"accept": "text/html"} | headers
    )


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    async with AsyncExitStack() as clients:

        async def sign_in(world: World) -> AsyncClient:
            client = await clients.enter_async_context(browser(world))
            answer = await client.post("/login", data={"token": TOKEN}, headers={"origin": ORIGIN})
            assert answer.status_code == 303
            return client

        yield sign_in


@pytest.fixture(params=["busy", "empty", "hostile"])
def world(request: pytest.FixtureRequest) -> World:
    return {"busy": busy, "empty": World, "hostile": hostile}[request.param]()
