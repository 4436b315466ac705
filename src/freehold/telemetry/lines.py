"""What every JSON line of a log begins with: its time."""

import time
from functools import lru_cache

YEAR_10000 = 253402300800


@lru_cache(64)
def second(at: int) -> bytes:
    """The part of a timestamp that the lines of one second share."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(at)).encode()


def timestamp(at: float) -> bytes:
    """RFC 3339 in UTC, microseconds; always 27 characters, so that they compare as text. What is no time becomes now."""
    if not 0 <= at < YEAR_10000:  # false for NaN
        at = time.time()
    micros = int(at * 1_000_000)
    return second(micros // 1_000_000) + b"%06dZ" % (micros % 1_000_000)
