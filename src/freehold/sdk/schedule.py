"""Schedules: when the server calls a function by itself. `Period` counts from the deployment, `Cron` reads a clock."""

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from freehold.core import specs
from freehold.core.errors import InvalidError
from freehold.core.schedule import describe, shortest_s
from freehold.sdk.context import is_local

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_LEAST_S, _MOST_S = 0.1, 100 * 365 * 86_400.0
_FIELDS = "minute, hour, day of month, month and day of week"


class Schedule:
    """What `@app.function(schedule=…)` takes."""

    spec: specs.Schedule

    def __repr__(self) -> str:
        return f"freehold.{describe(self.spec)}"


class Period(Schedule):
    """Every so often, first one period after the deployment. A month after January 31 is the last day of February."""

    def __init__(
        self, *, years: int = 0, months: int = 0, weeks: int = 0, days: int = 0, hours: int = 0, minutes: int = 0, seconds: float = 0
    ) -> None:  # fmt: skip
        whole = {"years": years, "months": months, "weeks": weeks, "days": days, "hours": hours, "minutes": minutes}
        for name, amount in whole.items():
            if isinstance(amount, bool) or not isinstance(amount, int) or amount < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
                msg = f"Period({name}={amount!r}): not a whole number of at least 0; only seconds may have a fraction"
                raise InvalidError(msg)
        if not _is_seconds(seconds):
            msg = f"Period(seconds={seconds!r}): not a number of at least 0"
            raise InvalidError(msg)
        period = specs.Period(**whole, seconds=float(seconds)) if sum(whole.values()) <= _MOST_S else None
        if period is None or shortest_s(period) > _MOST_S:
            msg = "Period(…): more than 100 years"
            raise InvalidError(msg)
        if shortest_s(period) < _LEAST_S:
            why = "is empty" if not shortest_s(period) else f"is shorter than {_LEAST_S:g} s"
            msg = f"{describe(specs.Schedule(period=period))} {why}: give how long apart its calls are, as Period(hours=4)"
            raise InvalidError(msg)
        self.spec = specs.Schedule(period=period)


class Cron(Schedule):
    """At the moments of a cron line, by the clocks of `timezone` (an IANA name)."""

    def __init__(self, cron_string: str, timezone: str = "UTC") -> None:
        if is_local():  # an instance only imports what was checked here, and has no parser of cron lines
            _check_line(cron_string, _zone(timezone))
        self.spec = specs.Schedule(cron=specs.Cron(expression=cron_string, timezone=timezone))


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _zone(name: object) -> "ZoneInfo | None":
    """The time zone; None is UTC, which needs no database of zones."""
    if name == "UTC":
        return None
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)  # type: ignore[arg-type]
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        msg = f"Cron(timezone={name!r}): no such time zone here; give an IANA name such as 'Europe/Berlin' (Debian has them in tzdata)"
        raise InvalidError(msg) from None


def _check_line(line: object, zone: "ZoneInfo | None") -> None:
    from cronsim import CronSim, CronSimError

    if not isinstance(line, str) or len(line.split()) != 5:
        count = f" and has {len(line.split())}" if isinstance(line, str) else ""
        msg = f"Cron({line!r}): a cron line has five fields, {_FIELDS}{count}: write it as '0 9 * * 1' (Mondays at 9)"
        raise InvalidError(msg)
    try:
        next(CronSim(line, datetime.now(zone or UTC)))
    except CronSimError as error:
        msg = f"Cron({line!r}): {str(error).lower()}; its fields are {_FIELDS}, as in '*/15 9-17 * * 1-5'"
        raise InvalidError(msg) from None
    except StopIteration:
        msg = f"Cron({line!r}): there is no such day in the next 50 years"
        raise InvalidError(msg) from None
