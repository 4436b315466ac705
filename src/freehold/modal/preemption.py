"""`modal.exception.simulate_preemption`: how code behaves that is told to go. Nothing here takes an instance from it by itself."""

import random
import signal
from types import FrameType
from typing import NoReturn

_LEFT_S = 30  # from the interrupt to the end


def simulate_preemption(wait_seconds: int, jitter_seconds: int = 0) -> None:
    """Interrupt this process, by KeyboardInterrupt in its main thread, after so many seconds; end it 30 s later if it goes on."""
    if wait_seconds <= 0:
        msg = f"simulate_preemption({wait_seconds!r}): give a number of seconds above 0"
        raise ValueError(msg)
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, wait_seconds + (random.uniform(0, jitter_seconds) if jitter_seconds else 0))  # noqa: S311 (no secret)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the next one ends the process
    signal.alarm(_LEFT_S)
    raise KeyboardInterrupt("simulated preemption")
