"""Every page, over a busy platform, an empty one, and one whose every name and line is hostile."""

import re

import pytest
from httpx import AsyncClient
from tests.unit.web.conftest import Enter, browser
from tests.unit.web.fakes import HOSTILE, World, busy, fake_id, hostile
from tests.unit.web.reading import Page

from freehold.server.web.page import HEADERS

FIXED = ("/apps", "/apps?all=1", "/instances", "/instances?all=1", "/calls", "/logs", "/secrets", "/volumes", "/status")


async def addresses(client: AsyncClient, world: World) -> list[str]:
    """The fixed pages, and one address for each kind of thing that they link to."""
    found: dict[str, str] = {}
    for path in FIXED:
        for tag, attrs in Page((await client.get(path)).text).tags:
            if tag == "a" and attrs.get("href", "").startswith("/"):
                found.setdefault(re.sub(r"(in|fc|ap|fu)-[0-9a-f]{28}", "ID", attrs["href"]), attrs["href"])
    return [*FIXED, *found.values(), *(f"/calls/{call}" for call in world.details)]


async def test_every_page_is_sound(enter: Enter, world: World) -> None:
    client = await enter(world)
    for path in await addresses(client, world):
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert Page(answer.text).faults == [], path
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path


async def test_hostile_text_is_only_text(enter: Enter) -> None:
    client, world = await enter(hostile()), hostile()
    for path in await addresses(client, world):
        html = (await client.get(path)).text
        assert "<script>alert" not in html, path
        assert "<img" not in html, path
        assert "javascript:" not in "".join(a.get("href", "") for _, a in Page(html).tags), path
        assert "49" not in Page(html).text.replace(HOSTILE, "").split("{{"), path
    for path in ("/apps", "/secrets", "/status", "/logs"):
        assert "<script>alert(1)</script>" in Page((await client.get(path)).text).text, path


async def test_an_empty_platform_says_what_to_type(enter: Enter) -> None:
    client = await enter(World())
    for path, line in {
        "/apps": "freehold deploy file.py",
        "/secrets": "freehold secret create",
        "/volumes": "freehold volume create",
    }.items():
        assert line in (await client.get(path)).text


async def test_app_page_shows_its_parts(enter: Enter) -> None:
    page = Page((await (await enter(busy())).get("/apps/ocr-service")).text)
    for text in (
        'curl -X POST -H "Authorization: Bearer $(cat ~/.freehold/token)" http://127.0.0.1:8701',
        "curl http://127.0.0.1:8702",
        "/v1/functions/ocr-service/Ocr/read/call",
        "/v1/functions/ocr-service/split_pdf/call",
        "문서 이미지를 읽는",
        "A10G or T4",
        "Roll back",
        "simulated",
        "ModuleNotFoundError",
        "input_failed",
    ):
        assert text in page.text
    assert any(tag == "rect" and "ph-enter" in attrs.get("class", "") for tag, attrs in page.tags)


async def test_app_page_shows_schedules_and_their_next_run(enter: Enter) -> None:
    client = await enter(busy())
    page = Page((await client.get("/apps/한글-배치")).text)
    assert "Cron('0 3 * * *', 'Asia/Seoul')" in page.text
    assert "next run 2030-03-17 17:46:40 UTC" in " ".join(page.text.split())
    assert "next run" not in (await client.get("/apps/ocr-service")).text


async def test_call_page_shows_attempts_and_the_traceback(enter: Enter) -> None:
    world = busy()
    call = next(iter(world.details))
    client = await enter(world)
    page = Page((await client.get(f"/calls/{call}")).text)
    assert "raise ValueError" in page.text
    assert (
        sum("bar s-failed" in a.get("class", "") for _, a in page.tags) == 3
    )  # two retried once, one of them for good
    failed = Page((await client.get(f"/calls/{call}?input_state=failed")).text)
    assert sum("bar s-" in a.get("class", "") for _, a in failed.tags) == 2


async def test_calls_filter_and_page(enter: Enter) -> None:
    client = await enter(busy())
    first = Page((await client.get("/calls?app=ocr-service&state=succeeded")).text)
    calls = [a["href"] for _, a in first.tags if a.get("href", "").startswith("/calls/fc-")]
    older = next(a["href"] for _, a in first.tags if a.get("rel") == "next")
    assert len(calls) == 50
    assert "app=ocr-service" in older
    second = [
        a["href"] for _, a in Page((await client.get(older)).text).tags if a.get("href", "").startswith("/calls/fc-")
    ]
    assert second
    assert not set(calls) & set(second)


@pytest.mark.parametrize("path", ["/apps/nothing", "/instances/nothing", "/calls/nothing", "/volumes/nothing"])
async def test_what_is_not_there_is_a_page_with_404(enter: Enter, path: str) -> None:
    answer = await (await enter(busy())).get(path)
    assert answer.status_code == 404
    assert Page(answer.text).faults == []
    assert "nothing" in answer.text


@pytest.mark.parametrize(
    "query", ["state=nonsense", "kind=<x>", "since=999y", "first=-1", "before=", "note=<script>", "level=loud&type=odd"]
)
async def test_nonsense_in_an_address_is_left_out(enter: Enter, query: str) -> None:
    client = await enter(busy())
    for path in ("/calls", "/logs", f"/calls/{fake_id('fc', 60)}"):
        answer = await client.get(f"{path}?{query}")
        assert answer.status_code == 200
        assert Page(answer.text).faults == []


async def test_without_a_session_pages_lead_to_the_sign_in_page() -> None:
    async with browser(busy()) as client:
        for path in FIXED:
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"][:6]) == (303, "/login"), path
        page = await client.get("/login?next=//evil.example")
        assert Page(page.text).faults == []
        assert "freehold status" in page.text
        assert "evil" not in page.text
        assert (await client.get("/static/app.css")).status_code == 200
        wrong = await client.post("/login", data={"token": "wrong"}, headers={"origin": "http://127.0.0.1:8700"})
        assert wrong.status_code == 401
        assert 'role="alert"' in wrong.text


async def test_a_file_of_a_volume_comes_as_an_attachment(enter: Enter) -> None:
    answer = await (await enter(busy())).get("/volumes/models/file/README.md")
    assert answer.content == b"# models"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_sizes_of_volumes_are_counted_apart(enter: Enter) -> None:
    answer = await (await enter(busy())).get("/volumes/models/size")
    assert "14.9 MiB" in answer.text
    assert "4 files" in answer.text
