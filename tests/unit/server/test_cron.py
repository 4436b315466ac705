"""Cron lines over the clock changes of a time zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from freehold.core.errors import InvalidError
from freehold.core.specs import Cron
from freehold.server.cron import cron_following

BERLIN = "Europe/Berlin"  # in 2027 clocks go forward on March 28 at 2:00, and back on October 31 at 3:00


def moments(line: str, zone: str, begin: str, count: int) -> list[str]:
    at, found = datetime.fromisoformat(begin).timestamp(), list[str]()
    for _ in range(count):
        at = cron_following(Cron(expression=line, timezone=zone), at)
        found.append(datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


def test_a_line_is_read_in_its_time_zone() -> None:
    assert moments("0 6 * * *", "America/New_York", "2027-01-01T00:00Z", 1) == ["2027-01-01T06:00-05:00"]
    assert moments("0 6 * * *", "UTC", "2027-01-01T06:00Z", 2) == ["2027-01-02T06:00+00:00", "2027-01-03T06:00+00:00"]


def test_what_the_clocks_skip_runs_right_after() -> None:
    assert moments("30 2 * * *", BERLIN, "2027-03-27T12:00Z", 2) == ["2027-03-28T03:00+02:00", "2027-03-29T02:30+02:00"]


def test_what_the_clocks_show_twice_runs_once() -> None:
    assert moments("30 2 * * *", BERLIN, "2027-10-30T12:00Z", 2) == ["2027-10-31T02:30+02:00", "2027-11-01T02:30+01:00"]
    # asked in the second of the two hours, the first is over
    assert moments("30 2 * * *", BERLIN, "2027-10-31T01:10Z", 1) == ["2027-11-01T02:30+01:00"]


def test_every_hour_is_every_hour() -> None:
    found = moments("0 * * * *", BERLIN, "2027-10-31T00:30+02:00", 4)
    assert found == [
        "2027-10-31T01:00+02:00",
        "2027-10-31T02:00+02:00",
        "2027-10-31T02:00+01:00",
        "2027-10-31T03:00+01:00",
    ]


@pytest.mark.parametrize(
    ("line", "zone", "why"),
    [("61 * * * *", "UTC", "bad minute"), ("0 0 30 2 *", "UTC", "day"), ("0 0 * * *", "Mars/Olympus", "Mars/Olympus")],
)
def test_what_cannot_be_read_is_refused(line: str, zone: str, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        cron_following(Cron(expression=line, timezone=zone), 1e9)
