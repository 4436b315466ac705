"""When a schedule is due: pure arithmetic over what was declared. A period counts from its base, so that it never drifts.

How a cron line is read is given in by the caller (`cron`), since the standard library cannot.
"""

from calendar import monthrange
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from freehold.core.specs import Cron, Period, Schedule

CronFollowing = Callable[[Cron, float], float]  # the first moment of a cron line after another


def following(schedule: Schedule, *, base: float, after: float, cron: CronFollowing) -> float:
    """The first moment after `after` (and after `base`) at which a schedule that began at `base` is due."""
    if schedule.period is not None:
        return period_following(schedule.period, base=base, after=after)
    assert schedule.cron is not None
    return cron(schedule.cron, max(base, after))


def period_following(period: Period, *, base: float, after: float) -> float:
    """The first of `nth(period, base, 1)`, `nth(period, base, 2)` … that is after `after`."""
    if after < (first := nth(period, base, 1)):
        return first
    low, high = 1, 2 + int((after - base) / shortest_s(period))  # due(low) <= after < due(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if nth(period, base, middle) <= after else (low, middle)
    return nth(period, base, high)


def nth(period: Period, base: float, n: int) -> float:
    """`base` and n periods: the months first, on the same day or the last one that the month has, then the rest."""
    return base + _months_s(base, n * _months(period)) + n * _rest_s(period)


def describe(schedule: Schedule) -> str:
    """`Period(days=1)` or `Cron('0 9 * * *', 'Europe/Berlin')`."""
    if schedule.cron is not None:
        zone = "" if schedule.cron.timezone == "UTC" else f", {schedule.cron.timezone!r}"
        return f"Cron({schedule.cron.expression!r}{zone})"
    assert schedule.period is not None
    amounts = [f"{name}={_plain(amount)}" for name, amount in asdict(schedule.period).items() if amount]
    return f"Period({', '.join(amounts)})"


def shortest_s(period: Period) -> float:
    """Two moments of a period are this far apart, or further."""
    return 28 * 86_400.0 * _months(period) + _rest_s(period)


def _plain(amount: float) -> float:
    return int(amount) if amount == int(amount) else amount


def _months(period: Period) -> int:
    return 12 * period.years + period.months


def _rest_s(period: Period) -> float:
    whole = timedelta(weeks=period.weeks, days=period.days, hours=period.hours, minutes=period.minutes)
    return whole.total_seconds() + period.seconds


def _months_s(base: float, months: int) -> float:
    """How many seconds so many months after `base` are."""
    if not months:
        return 0.0
    begin = datetime.fromtimestamp(base, UTC)
    years, month = divmod(begin.month - 1 + months, 12)
    year, month = begin.year + years, month + 1
    day = min(begin.day, monthrange(year, month)[1])
    return (begin.replace(year=year, month=month, day=day) - begin).total_seconds()
