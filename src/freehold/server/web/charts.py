"""Geometry of the timing charts: seconds become bars on a scale of 0 to 1000. Pure; the templates draw them as SVG."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from freehold.core.waterfall import span_s, steps
from freehold.protocol.schemas import AttemptView, CallDetail, CallView, InputView

SCALE = 1000.0
_VISIBLE = 5.0  # the thinnest bar that still shows


@dataclass(frozen=True, kw_only=True)
class Bar:
    label: str
    seconds: float
    x: float
    width: float
    tone: str  # CSS class: phase or state


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    attempt: AttemptView
    bar: Bar | None


@dataclass(frozen=True, kw_only=True)
class Point:
    """One finished call in the chart of durations."""

    at: float
    seconds: float
    state: str


def waterfall(phases: Mapping[str, float]) -> list[Bar]:
    """Start-up phases one after the other; their widths are shares of the whole."""
    found = steps(phases)
    total = span_s(found)
    bars: list[Bar] = []
    begun = 0.0
    for name, seconds in found.items():
        bars.append(_bar(name, seconds, begun, span=total, tone=name.replace("_", "-")))
        begun += seconds
    return bars


def startup_s(phases: Mapping[str, float]) -> float:
    return phases.get("total") or sum(steps(phases).values())


def attempts(detail: CallDetail, now: float) -> dict[int, list[AttemptRow]]:
    """Rows by input index, on the time scale of the whole call: from its creation to its end, or to now."""
    call = detail.call
    tried = {(a.index, a.attempt): a for a in (*map(_last_attempt, detail.inputs), *detail.attempts)}
    ends = [a.ended for a in tried.values() if a.ended is not None]
    end = max([call.ended if call.ended is not None else now, *ends])
    span = max(end - call.created, 1e-9)
    rows: dict[int, list[AttemptRow]] = {}
    for _, attempt in sorted(tried.items()):
        rows.setdefault(attempt.index, []).append(
            AttemptRow(attempt=attempt, bar=_attempt_bar(call, attempt, span, end))
        )
    return rows


def _last_attempt(i: InputView) -> AttemptView:
    """The attempt that an input stands at is told by the input itself; the record of attempts has those before it."""
    return AttemptView(
        index=i.index, attempt=i.attempt, instance=i.instance, state=i.state, started=i.started, ended=i.ended
    )


def _attempt_bar(call: CallView, attempt: AttemptView, span: float, end: float) -> Bar | None:
    if attempt.started is None:
        return None
    seconds = max((attempt.ended if attempt.ended is not None else end) - attempt.started, 0.0)
    return _bar(f"attempt {attempt.attempt}", seconds, attempt.started - call.created, span=span, tone=attempt.state)


def _bar(label: str, seconds: float, begun: float, *, span: float, tone: str) -> Bar:
    x = min(share(begun, span), SCALE - _VISIBLE)
    width = min(max(share(seconds, span), _VISIBLE), SCALE - x)
    return Bar(label=label, seconds=seconds, x=round(x, 1), width=round(width, 1), tone=tone)


def durations(calls: Iterable[CallView]) -> list[Point]:
    """Finished calls, oldest first, for the chart of durations."""
    points = [
        Point(at=call.created, seconds=max(call.ended - call.created, 0.0), state=call.state)
        for call in calls
        if call.ended is not None
    ]
    return sorted(points, key=lambda p: p.at)


def share(part: float, whole: float) -> float:
    """Part of a whole on the bars' scale."""
    return round(min(max(part / whole, 0.0), 1.0) * SCALE, 1) if whole > 0 else 0.0
