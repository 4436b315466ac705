"""Reads cron lines, as Debian's cron does: where clocks go forward, what is skipped runs right after; where they go back, it runs once."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from freehold.core.errors import InvalidError
from freehold.core.specs import Cron


def cron_following(cron: Cron, after: float) -> float:
    """The first moment of a cron line after `after`; InvalidError when there is none."""
    try:
        zone = UTC if cron.timezone == "UTC" else ZoneInfo(cron.timezone)
        moments = CronSim(cron.expression, datetime.fromtimestamp(after, zone))
        # an hour that comes twice can give a moment that was before
        return next(at for at in (moment.timestamp() for moment in moments) if at > after)
    except CronSimError as error:
        msg = f"cron line {cron.expression!r}: {str(error).lower()}"
        raise InvalidError(msg) from None
    except StopIteration:
        msg = f"cron line {cron.expression!r}: there is no such day in the next 50 years"
        raise InvalidError(msg) from None
    except (KeyError, ValueError, OSError):
        msg = (
            f"cron line {cron.expression!r}: the server knows no time zone {cron.timezone!r}; on Debian tzdata has them"
        )
        raise InvalidError(msg) from None
