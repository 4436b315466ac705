"""How values read on a page: durations, sizes, times, short ids, log text. Pure; the templates use them as filters."""

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

NOTHING = "\N{EN DASH}"
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_TEXT_MAX = 32_768


def duration(seconds: float | None) -> str:
    """`40 µs`, `1.4 ms`, `120 ms`, `3.24 s`, `42.1 s`, `4m 12s`, `2h 05m`, `3d 4h`."""
    if seconds is None:
        return NOTHING
    seconds = max(seconds, 0.0)
    if seconds < 0.9995:
        ms = seconds * 1000
        return f"{seconds * 1e6:.0f} µs" if ms < 0.9995 else f"{ms:.1f} ms" if ms < 9.95 else f"{ms:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    return _long_duration(round(seconds))


def _long_duration(whole: int) -> str:
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour}h"
    return f"{hours}h {minute:02d}m" if hours else f"{minutes}m {second:02d}s"


def size(count: int | None) -> str:
    """`512 B`, `1.4 KiB`, `12 MiB`."""
    if count is None:
        return NOTHING
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1023.5 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"


def mib(count: int) -> str:
    return size(count * 1024 * 1024)


def ago(then: float | None, now: float) -> str:
    """`just now`, `12 s ago`, `5 min ago`, `3 h ago`, `2 d ago`, then the date. app.js keeps it fresh in the same words."""
    if then is None:
        return NOTHING
    past = now - then
    if past < 3:
        return "just now"
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (7 * 86400, 86400, "d")):
        if past < limit:
            return f"{int(past // unit)} {name} ago"
    return datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%d")


def absolute(then: float | None) -> str:
    """`2026-11-21 08:01:46 UTC`."""
    return NOTHING if then is None else datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(then: float) -> str:
    return datetime.fromtimestamp(then, UTC).isoformat(timespec="milliseconds")


def short_id(value: str | None) -> str:
    """The end of an id, which differs between neighbours: `fc-…1c2d3e4f`."""
    if not value:
        return NOTHING
    head, dash, tail = value.partition("-")
    return f"{head}-…{tail[-8:]}" if dash and len(tail) > 12 else value


def clock_time(timestamp: str) -> str:
    """`08:01:46.123` of an RFC 3339 timestamp."""
    return timestamp[11:23].rstrip("Z") if len(timestamp) > 19 else timestamp


def log_text(message: str, search: str = "") -> Markup:
    """Escaped text of a log line without colour codes and direction overrides; what was searched for is marked."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", message.rstrip("\r\n")))
    if len(text) > _TEXT_MAX:
        text = f"{text[:_TEXT_MAX]} … ({len(text) - _TEXT_MAX} more characters)"
    if not search:
        return escape(text)
    parts = re.split(f"({re.escape(search)})", text, flags=re.IGNORECASE)
    marked = (Markup("<mark>{}</mark>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts))
    return Markup("").join(marked)


def web_url(value: str) -> str:
    """The URL if it is one that a browser may open, else nothing: a link must never run a script."""
    return value if value.startswith(("http://", "https://")) else ""


def plural(count: int, one: str, many: str = "") -> str:
    """`1 call`, `2 calls`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
