"""Periods: when they are due, by the calendar and without drift."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.schedule import describe, nth, period_following, shortest_s
from freehold.core.specs import Cron, Period, Schedule

small = st.integers(0, 30)
periods = st.builds(
    Period, years=st.integers(0, 3), months=small, weeks=small, days=small, hours=small, minutes=small,
    seconds=st.floats(0.1, 1e6, allow_nan=False),
)  # fmt: skip
bases = st.floats(1.7e9, 1.9e9)
spans = st.floats(0, 3e8)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="minutes")[:16]


@pytest.mark.parametrize(
    ("period", "base", "expected"),
    [
        (Period(months=1), "2027-01-31 10:30", ["2027-02-28 10:30", "2027-03-31 10:30", "2027-04-30 10:30"]),
        (Period(months=1), "2028-01-31 10:30", ["2028-02-29 10:30", "2028-03-31 10:30"]),
        (Period(years=1), "2028-02-29 00:00", ["2029-02-28 00:00", "2030-02-28 00:00", "2031-02-28 00:00", "2032-02-29 00:00"]),
        (Period(months=1, days=1), "2027-01-31 10:30", ["2027-03-01 10:30", "2027-04-02 10:30"]),
        (Period(weeks=1, hours=1), "2027-12-30 23:30", ["2028-01-07 00:30", "2028-01-14 01:30"]),
        (Period(minutes=15), "2027-01-01 00:01", ["2027-01-01 00:16", "2027-01-01 00:31"]),
    ],
)  # fmt: skip
def test_a_period_goes_by_the_calendar(period: Period, base: str, expected: list[str]) -> None:
    assert [shown(nth(period, at(base), n + 1)) for n in range(len(expected))] == expected


@given(period=periods, base=bases, span=spans)
def test_the_next_moment_is_the_first_after(period: Period, base: float, span: float) -> None:
    after = base + span
    due = period_following(period, base=base, after=after)
    n = next(n for n in range(1, 10**10) if nth(period, base, n) == due) if span / shortest_s(period) < 50 else None
    assert due > after
    if n is not None:
        assert n == 1 or nth(period, base, n - 1) <= after


@given(period=periods, base=bases, n=st.integers(1, 200))
def test_the_moments_follow_each_other_however_late_each_is_asked_for(period: Period, base: float, n: int) -> None:
    """Asking at the moment itself, or any time until the next, gives the next: nothing is skipped and nothing drifts."""
    this, then = nth(period, base, n), nth(period, base, n + 1)
    assert then - this > 0.999 * shortest_s(period)
    assert period_following(period, base=base, after=this) == then
    assert period_following(period, base=base, after=this + 0.9 * (then - this)) == then


def test_before_its_base_a_period_is_first_due_one_period_after_it() -> None:
    assert period_following(Period(days=1), base=1e9, after=5e8) == 1e9 + 86_400


def test_schedules_are_told_as_they_are_written() -> None:
    assert describe(Schedule(period=Period(days=1, seconds=2.0))) == "Period(days=1, seconds=2)"
    assert describe(Schedule(period=Period(seconds=0.25))) == "Period(seconds=0.25)"
    assert describe(Schedule(cron=Cron(expression="0 9 * * *"))) == "Cron('0 9 * * *')"
    assert (
        describe(Schedule(cron=Cron(expression="0 9 * * *", timezone="Asia/Seoul")))
        == "Cron('0 9 * * *', 'Asia/Seoul')"
    )
