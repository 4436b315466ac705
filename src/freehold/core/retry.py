"""Whether and when an input runs again after an attempt failed."""

from freehold.core.specs import Retries

MAX_CRASHES = 3  # an input whose instance died this often is poison: it ends


def delay_before_retry(policy: Retries | None, failures: int) -> float | None:
    """Return the seconds to wait before the next attempt after `failures` failed ones (>= 1), or None to give up."""
    if policy is None or failures > policy.max_retries:
        return None
    return min(policy.initial_delay_s * policy.backoff ** (failures - 1), policy.max_delay_s)
