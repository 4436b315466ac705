"""The dashboard of a real server in a real browser."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from tests.e2e.harness import Freehold

pytestmark = pytest.mark.browser
APP = "e2e-dashboard"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def deployed(server: Freehold) -> Freehold:
    server.ok("deploy", "dashboard.py")
    return server


@pytest.fixture
def page(browser: Browser, deployed: Freehold) -> Iterator[Page]:
    """A signed-in page; what it complains of in its console fails the test."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{deployed.url}/login")
    page.get_by_label("Token").fill(deployed.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Apps")).to_be_visible()
    yield page
    context.close()
    assert complaints == []


def call(server: Freehold, path: str, **kwargs: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {server.token}"}
    return httpx.post(
        f"{server.url}/v1/functions/{APP}/{path}/call", json={"kwargs": kwargs}, headers=headers, timeout=120
    )


@pytest.fixture
def talking(deployed: Freehold) -> Iterator[threading.Thread]:
    """A call of ten seconds that writes a line every quarter of one."""
    thread = threading.Thread(target=call, args=(deployed, "Talker/talk"), kwargs={"words": 40})
    thread.start()
    yield thread
    thread.join()


def test_nobody_gets_in_without_the_token(browser: Browser, deployed: Freehold) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{deployed.url}/calls")
    expect(page).to_have_url(f"{deployed.url}/login?next=/calls")
    expect(page.get_by_text("freehold status")).to_be_visible()
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the server's token")
    page.get_by_label("Token").fill(deployed.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{deployed.url}/calls")
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{deployed.url}/apps")
    expect(page.get_by_label("Token")).to_be_visible()
    context.close()


def test_a_link_signs_in_once(browser: Browser, deployed: Freehold) -> None:
    headers = {"authorization": f"Bearer {deployed.token}"}
    path = httpx.post(f"{deployed.url}/v1/login/codes", headers=headers).json()["path"]
    context = browser.new_context()
    page = context.new_page()
    page.goto(deployed.url + path)
    expect(page.get_by_role("heading", name="Apps")).to_be_visible()
    context.clear_cookies()
    page.goto(deployed.url + path)
    expect(page.get_by_role("alert")).to_contain_text("used already")
    context.close()


def test_an_app_is_shown_with_its_endpoint(page: Page, deployed: Freehold) -> None:
    page.get_by_role("link", name=APP).click()
    expect(page.get_by_role("heading", name=f"{APP} deployed")).to_be_visible()
    expect(page.get_by_role("heading", name="Talker")).to_be_visible()
    url = page.locator(".endpoint a").inner_text()
    expect(page.get_by_text(f"curl {url}")).to_be_visible()
    assert httpx.get(url, timeout=60).json() == {"pong": True}


def test_log_lines_arrive_as_they_are_written(page: Page, talking: threading.Thread) -> None:
    page.get_by_role("link", name=APP).click()
    lines = page.locator(".log .ll .msg")
    expect(lines.filter(has_text="말 2 <b>bold</b>").last).to_be_visible()
    expect(page.locator(".log .ll b", has_text="bold")).to_have_count(0)
    page.get_by_role("button", name="Pause").click()
    shown = lines.count()
    expect(page.locator(".log-state")).to_contain_text("new")
    assert lines.count() == shown
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".log-state")).to_have_text("Live")
    assert lines.count() > shown


def test_states_change_without_a_reload(page: Page, talking: threading.Thread) -> None:
    page.get_by_role("link", name=APP).click()
    page.evaluate("window.stayed = true")
    rows = page.locator("#live tr", has_text="Talker")
    expect(rows.filter(has=page.locator(".badge.s-busy")).first).to_be_visible()
    expect(page.locator("#live .badge.s-running").first).to_be_visible()
    expect(rows.filter(has=page.locator(".badge.s-idle")).first).to_be_visible(timeout=30_000)
    assert page.evaluate("window.stayed")


def test_an_instance_is_stopped_after_asking(page: Page, deployed: Freehold) -> None:
    assert call(deployed, "Talker/talk", words=1).json()["result"] == 1
    page.get_by_role("link", name="Instances").click()
    page.locator("tr", has_text="Talker").get_by_role("link").first.click()
    for phase in ("parent", "fork", "enter"):
        expect(page.locator(".waterfall th", has_text=phase)).to_be_visible()
    expect(page.locator(".log .ll", has_text="ready to talk")).to_be_visible()
    page.get_by_role("button", name="Stop instance").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#live .badge").first).to_have_text("idle")
    page.get_by_role("button", name="Stop instance").click()
    page.locator("dialog").get_by_role("button", name="Stop instance").click()
    expect(page.get_by_text("The instance is stopping.")).to_be_visible()
    expect(page.locator("#live h1 .badge")).to_have_text("offline", timeout=30_000)
    expect(page.get_by_role("button", name="Stop instance")).to_have_count(0)


def test_a_failed_call_shows_its_traceback(page: Page, deployed: Freehold) -> None:
    call(deployed, "Talker/fail")
    page.goto(f"{deployed.url}/calls?app={APP}&state=failed")
    page.locator("tbody tr").first.get_by_role("link").first.click()
    expect(page.locator(".alert")).to_contain_text("nothing to say")
    expect(page.locator("pre")).to_contain_text("raise ValueError")


def test_logs_are_searched(page: Page, deployed: Freehold) -> None:
    call(deployed, "Talker/talk", words=2, word="needle")
    page.goto(f"{deployed.url}/logs")
    page.keyboard.press("/")
    page.keyboard.type("needle 1")
    page.keyboard.press("Enter")
    expect(page.locator(".ll mark").first).to_have_text("needle 1")
    expect(page.locator(".ll")).to_have_count(1)


def test_pages_fit_a_phone(page: Page, deployed: Freehold) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    for path in (f"/apps/{APP}", "/apps", "/instances?all=1", "/calls", "/logs", "/secrets", "/volumes", "/status"):
        page.goto(deployed.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


_REFRESH = "htmx.trigger('#live', 'refresh')"
_RECONNECT = """for (const hidden of [true, false]) {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.mark.parametrize(("path", "happens"), [("/calls?state=failed", _REFRESH), ("/logs?search=x", _RECONNECT)])
def test_a_page_whose_session_has_ended_leads_to_the_form_and_back(
    browser: Browser, deployed: Freehold, path: str, happens: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{deployed.url}{path}")
    page.get_by_label("Token").fill(deployed.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{deployed.url}{path}")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    context.clear_cookies()
    page.evaluate(happens)
    expect(page.get_by_label("Token")).to_be_visible()
    context.close()


def test_pages_read_without_javascript(browser: Browser, deployed: Freehold) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{deployed.url}/login?next=/apps/{APP}")
    page.get_by_label("Token").fill(deployed.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Talker")).to_be_visible()
    expect(page.locator(".log .ll").first).to_be_visible()
    context.close()
