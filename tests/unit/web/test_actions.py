"""What pages can do, and that only their own forms can do it."""

import re

import pytest
from httpx import AsyncClient
from tests.unit.web.conftest import ORIGIN, Enter, browser
from tests.unit.web.fakes import World, busy, fake_id
from tests.unit.web.serving import TOKEN

APP, INSTANCE, CALL = fake_id("ap", 1), fake_id("in", 2), fake_id("fc", 178)
ACTIONS = {
    f"/apps/{APP}/stop": ("stop app", APP),
    f"/apps/{APP}/rollback": ("rollback", APP, "6"),
    f"/instances/{INSTANCE}/stop": ("stop instance", INSTANCE),
    f"/calls/{CALL}/cancel": ("cancel", CALL),
}


async def form_of(client: AsyncClient, action: str) -> dict[str, str]:
    """The fields of the form with this action, as its page has them."""
    html = (await client.get(action.rpartition("/")[0])).text
    form = next(
        f for f in re.findall(r"<form.*?</form>", html, re.DOTALL) if f'action="{action}"' in f and "v7" not in f
    )
    assert "data-confirm=" in form
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_form_of_a_page_acts_and_leads_back(enter: Enter, action: str) -> None:
    world = busy()
    client = await enter(world)
    answer = await client.post(action, data=await form_of(client, action), headers={"origin": ORIGIN})
    assert answer.status_code == 303
    assert world.done == [ACTIONS[action]]
    assert 'class="note"' in (await client.get(answer.headers["location"])).text


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("headers", "csrf"),
    [
        ({"origin": "http://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": "http://127.0.0.1:8701"}, True),
        ({}, True),
        ({"origin": ORIGIN}, False),
        ({"origin": ORIGIN, "sec-fetch-site": "cross-site"}, False),
    ],
)
async def test_a_form_of_another_site_does_nothing(
    enter: Enter, action: str, headers: dict[str, str], csrf: bool
) -> None:
    world = busy()
    client = await enter(world)
    fields = await form_of(client, action) | ({} if csrf else {"csrf": "0" * 64})
    assert (await client.post(action, data=fields, headers=headers)).status_code == 403
    del fields["csrf"]
    assert (await client.post(action, data=fields, headers=headers)).status_code == 403
    assert world.done == []


async def test_another_sessions_token_is_refused(enter: Enter) -> None:
    world = busy()
    mine, other = await enter(world), await enter(world)
    action = f"/apps/{APP}/stop"
    answer = await mine.post(action, data=await form_of(other, action), headers={"origin": ORIGIN})
    assert answer.status_code == 403
    assert world.done == []


async def test_a_bearer_token_needs_no_form() -> None:
    world = busy()
    async with browser(world, authorization=f"Bearer {TOKEN}") as client:
        assert (await client.post(f"/instances/{INSTANCE}/stop")).status_code == 303
    assert world.done == [("stop instance", INSTANCE)]


async def test_what_has_ended_has_no_stop(enter: Enter) -> None:
    client = await enter(busy())
    assert "Stop app" not in (await client.get("/apps/hello")).text
    assert "Stop instance" not in (await client.get(f"/instances/{fake_id('in', 8)}")).text
    assert "Cancel call" not in (await client.get(f"/calls/{fake_id('fc', 10)}")).text


async def test_actions_on_what_is_not_there(enter: Enter) -> None:
    world = World()
    client = await enter(world)
    csrf = re.findall(r'name="csrf" value="(\w+)"', (await client.get("/apps")).text)[0]
    answer = await client.post("/instances/gone/stop", data={"csrf": csrf}, headers={"origin": ORIGIN})
    assert answer.status_code == 404
