import pytest

from freehold.server.web import display


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, display.NOTHING), (0, "0 µs"), (-3, "0 µs"), (0.00004, "40 µs"), (0.0014, "1.4 ms"), (0.12, "120 ms"), (0.9996, "1.00 s"), (3.241, "3.24 s"), (42.12, "42.1 s"),
     (59.96, "1m 00s"), (252, "4m 12s"), (7500, "2h 05m"), (273_600, "3d 4h")],
)  # fmt: skip
def test_duration(seconds: float | None, text: str) -> None:
    assert display.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, display.NOTHING),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 2**30, "5.0 GiB"),
        (2**50, "1024 TiB"),
    ],
)
def test_size(count: int | None, text: str) -> None:
    assert display.size(count) == text


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (-5, "just now"),
        (2, "just now"),
        (12, "12 s ago"),
        (320, "5 min ago"),
        (11_000, "3 h ago"),
        (180_000, "2 d ago"),
        (1e6, "1969-12-20"),
    ],
)
def test_ago(past: float, text: str) -> None:
    assert display.ago(0 - past, 0) == text


def test_short_id_keeps_the_end_that_differs() -> None:
    assert display.short_id("fc-019a8c0f4d21b7e6c1d2a3f40516") == "fc-…a3f40516"
    assert display.short_id("plain") == "plain"
    assert display.short_id(None) == display.NOTHING


def test_log_text_escapes_strips_and_marks() -> None:
    assert display.log_text("\x1b[1;32mok\x1b[0m <b>\x00\u202e") == "ok &lt;b&gt;\ufffd\ufffd"
    assert display.log_text("a<B>c", "<b>") == "a<mark>&lt;B&gt;</mark>c"
    assert display.log_text("aXbxc", "x") == "a<mark>X</mark>b<mark>x</mark>c"
    assert "more characters" in display.log_text("y" * 100_000)


@pytest.mark.parametrize("address", ["javascript:alert(1)", "JAVASCRIPT:1", "data:text/html,x", " http://x", "//x"])
def test_only_web_addresses_become_links(address: str) -> None:
    assert display.web_url(address) == ""
    assert display.web_url("http://127.0.0.1:8701") == "http://127.0.0.1:8701"
