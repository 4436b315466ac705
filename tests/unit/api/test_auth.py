"""S1 and S4: every route with every kind of credential; hosts, origins, sessions."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from freehold.core.errors import AuthError
from freehold.server.api.application import build_api
from freehold.server.api.auth import SESSION_COOKIE, SESSION_S, TABLE, Access, Authority
from freehold.server.api.contract import ApiConfig
from freehold.server.api.gatekeeper import access_key, is_loopback, same_origin, unlisted
from freehold.server.web import build_web, page_access, static_files

NOTHING: Any = None
TOKEN, INSTANCE_TOKEN, FOREIGN_TOKEN = (
    "token-of-the-platform", "token-of-an-instance", "token-of-an-instance-of-another-workspace"
)  # fmt: skip
ROUTES = sorted(k for k in TABLE if not k.startswith("WS"))
CLOSED = [k for k in ROUTES if TABLE[k] not in (Access.PUBLIC, Access.LOCAL)]


def call_of(key: str) -> tuple[str, str]:
    method, _, template = key.partition(" ")
    return method, re.sub(r"\{[^}]+\}", "x", template)


def bare() -> FastAPI:
    return build_api(NOTHING, Authority(token="t", key=b"k"), ApiConfig(host="127.0.0.1"))


def test_every_route_stands_in_the_table_and_the_table_names_no_other() -> None:
    routes = bare().router.routes
    assert unlisted(routes, TABLE) == []
    assert {key for route in routes for key in access_key(route)} == set(TABLE)


def test_the_dashboards_pages_stand_in_it_too(world: Any) -> None:
    pages = build_web(world.app().state.context.services)
    app = world.app(pages=pages.routes, page_access=page_access(pages))
    app.mount("/static", static_files())
    assert unlisted(app.router.routes, app.state.table) == []
    public = {k for k, access in app.state.table.items() if access is Access.PUBLIC}
    assert public - {k for k, access in TABLE.items() if access is Access.PUBLIC} == {"GET /static"}


def test_a_forgotten_route_would_be_seen() -> None:
    app = bare()
    app.add_api_route("/v1/backdoor", lambda: "in", methods=["GET"])
    assert unlisted(app.router.routes, TABLE) == ["GET /v1/backdoor"]


async def test_a_forgotten_route_is_closed_even_to_the_owner(world: Any) -> None:
    import httpx

    app = world.app()
    app.add_api_route("/v1/backdoor", lambda: "in", methods=["GET"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        assert (await client.get("/v1/backdoor")).status_code == 401
        assert (await client.get("/v1/backdoor", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 403


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"cookie": f"{SESSION_COOKIE}=forged.forged"},
        {"cookie": f"{SESSION_COOKIE}={TOKEN}"},
        {"cookie": "freehold_session="},
    ],
)
async def test_without_a_known_credential_no_closed_route_answers(world: Any, shown: dict[str, str]) -> None:
    async with world.client(None) as client:
        for key in CLOSED:
            method, path = call_of(key)
            answer = await client.request(method, path, headers=shown)
            assert answer.status_code == 401, key
            assert answer.json()["error"]["code"] == "unauthenticated"
    assert not world.apps.asked
    assert not world.stopped


async def test_only_probes_and_the_form_are_public(world: Any) -> None:
    async with world.client(None) as client:
        answers = {k: await client.request(*call_of(k)) for k in ROUTES}
    passed = [
        k for k, a in answers.items() if a.status_code != 401 or a.headers["content-type"].startswith("text/html")
    ]
    assert set(passed) == {k for k in ROUTES if TABLE[k] in (Access.PUBLIC, Access.LOCAL)}
    assert set(passed) == {
        "GET /livez", "GET /readyz", "GET /startupz", "GET /health", "GET /healthz", "GET /login", "POST /login", "GET /metrics"
    }  # fmt: skip


async def test_an_instance_is_a_client_and_no_more(world: Any) -> None:
    async with world.client(INSTANCE_TOKEN) as client:
        for key in CLOSED:
            refused = (await client.request(*call_of(key))).status_code == 403
            assert refused == (TABLE[key] is Access.ADMIN), key
    assert not world.stopped


async def test_an_instance_works_in_its_own_workspace(world: Any) -> None:
    async with world.client(FOREIGN_TOKEN) as client:
        await client.get("/v1/apps")
        assert (await client.put("/v1/volumes/v")).status_code == 201
    assert world.apps.asked == [("list", "other")]
    async with world.client() as client:
        assert (await client.get("/v1/volumes")).json() == []
        assert (await client.get("/v1/volumes/v")).status_code == 404


async def test_an_ended_session_and_one_of_another_key_are_refused(world: Any) -> None:
    cookie = world.authority.new_session()
    other = Authority(token=TOKEN, key=b"other", now=lambda: world.now).new_session()
    rotated = Authority(token="new token", key=b"k" * 32, now=lambda: world.now).new_session()
    async with world.client(None) as client:
        assert (await client.get("/v1/apps", headers={"cookie": f"{SESSION_COOKIE}={cookie}"})).status_code == 200
        for bad in (other, rotated, cookie[:-2], "x" + cookie):
            assert (await client.get("/v1/apps", headers={"cookie": f"{SESSION_COOKIE}={bad}"})).status_code == 401
        world.now += SESSION_S + 1
        assert (await client.get("/v1/apps", headers={"cookie": f"{SESSION_COOKIE}={cookie}"})).status_code == 401


@given(st.text())
def test_no_made_up_cookie_or_token_passes(text: str) -> None:
    authority = Authority(token="t" * 20, key=b"k")
    assert authority.by_session(text) is None
    assert authority.by_session(f"{text}.{text}") is None
    assert authority.by_token(text) is None


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"origin": "http://localhost"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({}, False),
        ({"origin": "http://localhost:8701"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://localhost.evil.example"}, False),
        ({"origin": "http://localhost@evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://["}, False),
        ({"origin": "http://[zz]"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://evil.example", "sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
    ],
)
async def test_what_a_cookie_changes_must_come_from_our_own_pages(
    world: Any, headers: dict[str, str], passes: bool
) -> None:
    cookie = f"{SESSION_COOKIE}={world.authority.new_session()}"
    async with world.client(None, cookie=cookie) as client:
        answer = await client.post("/v1/apps/ocr/stop", headers=headers)
        assert (answer.status_code == 200) == passes
        assert (
            await client.get("/v1/apps", headers=headers)
        ).status_code == 200  # reading is safe: no CORS lets others see it
    async with world.client(origin="http://evil.example") as client:
        assert (await client.post("/v1/apps/ocr/stop")).status_code == 200  # a token is never sent unknowingly


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("localhost", True), ("localhost:8700", True), ("127.0.0.1:8700", True), ("[::1]:8700", True), ("127.1.2.3", True),
        ("ours.example", True), ("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False),
        ("evil.example:8700", False), ("localhost@evil.example", False), ("evil.example#localhost", False), ("10.0.0.1", False),
        ("0.0.0.0", False), ("[::ffff:10.0.0.1]", False), ("2130706433", False), ("a b", False),
        ("[", False), ("[::1", False), ("[zz]", False), ("::1]", False),
    ],
)  # fmt: skip
async def test_only_names_of_this_machine_are_answered_on_loopback(world: Any, host: str, passes: bool) -> None:
    world.allowed_hosts = frozenset({"ours.example"})
    async with world.client() as client:
        for path in ("/livez", "/v1/apps", "/login"):
            assert ((await client.get(path, headers={"host": host})).status_code != 421) == passes


async def test_a_wider_bind_takes_any_name_and_closes_metrics(world: Any) -> None:
    world.host = "0.0.0.0"
    async with world.client(None) as client:
        assert (await client.get("/livez", headers={"host": "gpu.example"})).status_code == 200
        assert (await client.get("/metrics")).status_code == 401
    async with world.client() as client:
        assert (await client.get("/metrics")).text == "up 1\n"


@given(st.text(alphabet=st.characters(codec="latin-1")))
def test_no_name_that_is_not_loopback_passes_for_it(name: str) -> None:
    if is_loopback(name):
        assert name == "localhost" or name.endswith(".localhost") or name.startswith("127.") or ":" in name


@given(st.text(alphabet="abc.:/@#?\\", max_size=12))
def test_an_origin_is_ours_only_when_it_is_the_host(origin: str) -> None:
    if same_origin(Headers({"origin": origin, "host": "localhost:8700"})):
        assert origin in ("http://localhost:8700", "https://localhost:8700")


@pytest.mark.parametrize(
    "path",
    [
        "/v1//apps",
        "/v1/apps/",
        "//v1/apps",
        "/V1/apps",
        "/v1/apps;x",
        "/v1/./apps",
        "/v1/../v1/apps",
        "/v1%2fapps",
        "/livez/../v1/apps",
    ],
)
async def test_no_detour_leads_round_the_table(world: Any, path: str) -> None:
    async with world.client(None) as client:
        assert (await client.get(f"http://localhost{path}")).status_code == 401
    assert not world.apps.asked


async def test_sign_in_with_the_token_and_with_a_code(world: Any) -> None:
    async with world.client(None) as client:
        assert (await client.post("/login", data={"token": "wrong"})).status_code == 401
        assert (await client.post("/login", data={"token": INSTANCE_TOKEN})).status_code == 401
        assert (
            await client.post("/login", data={"token": TOKEN}, headers={"origin": "http://evil.example"})
        ).status_code == 403
        answer = await client.post(
            "/login", data={"token": TOKEN, "next": "/apps"}, headers={"origin": "http://localhost"}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/apps")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await client.get("/v1/apps")).status_code == 200
    async with world.client() as client:
        made = (await client.post("/v1/login/codes")).json()
    async with world.client(None) as client:
        assert (await client.get(made["path"])).status_code == 303
        assert (await client.get("/v1/apps")).status_code == 200
    async with world.client(None) as client:
        assert (await client.get(made["path"])).status_code == 401  # once only
        assert (await client.get("/login?code=guess")).status_code == 401


@pytest.mark.parametrize(
    "place",
    [
        "//evil.example",
        "/\\evil.example",
        "http://evil.example",
        "javascript:alert(1)",
        "/a\r\nx: y",
        "evil",
        "/\t/evil",
    ],
)
async def test_sign_in_leads_nowhere_else(world: Any, place: str) -> None:
    async with world.client(None) as client:
        answer = await client.post("/login", data={"token": TOKEN, "next": place})
    assert answer.headers["location"] == "/"


def test_codes_end_and_are_bounded() -> None:
    now = [0.0]
    authority = Authority(token="t", key=b"k", now=lambda: now[0])
    codes = [authority.new_code() for _ in range(150)]
    assert len(authority.codes) <= 100
    authority.redeem(codes[-1])
    now[0] += 601
    for code in (codes[-2], codes[-1], codes[0]):
        with pytest.raises(AuthError):
            authority.redeem(code)


async def test_a_browser_without_a_session_is_led_to_the_form(world: Any) -> None:
    async with world.client(None, accept="text/html") as client:
        answer = await client.get("/docs")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/docs")
        answer = await client.get("/docs?a=%20b&c=1")
        assert answer.headers["location"] == "/login?next=/docs%3Fa%3D%2520b%26c%3D1"
        assert (await client.get("/v1/apps")).status_code == 401
