"""The phases of an instance's start, in the order in which they happen and without counting a second twice."""

from collections.abc import Mapping

ORDER = ("queue", "image", "prepare", "parent", "import", "snap", "fork", "other", "enter", "first_input")
_IN_PARENT = ("import", "snap")  # reported beside the parent's start, which holds them
_AROUND = ("queue", "first_input")  # before the start was decided, and after it was ready: not in `total`
_WORK = "first_input"  # the user's own: it may take hours, beside which a start could not be seen
_NO_PHASES = ("total", "failed_in")
_NOTABLE_S = 0.001


def steps(phases: Mapping[str, float]) -> dict[str, float]:
    """Seconds a phase. What the phases leave of `total`, the time from the decision to start until ready, is `other`."""
    found = {name: max(seconds, 0.0) for name, seconds in phases.items() if name not in _NO_PHASES}
    if "parent" in found:
        found["parent"] = max(found["parent"] - sum(found.get(name, 0.0) for name in _IN_PARENT), 0.0)
    rest = phases.get("total", 0.0) - sum(s for name, s in found.items() if name not in _AROUND)
    if rest > _NOTABLE_S:
        found["other"] = rest
    places = {name: place for place, name in enumerate(ORDER)}
    return dict(sorted(found.items(), key=lambda step: places.get(step[0], len(ORDER))))


def span_s(steps: Mapping[str, float]) -> float:
    """Seconds that the bars are drawn over: the start without the work of the first input, where there is more than that."""
    return sum(s for name, s in steps.items() if name != _WORK) or sum(steps.values())
