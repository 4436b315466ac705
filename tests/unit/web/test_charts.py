from hypothesis import given
from hypothesis import strategies as st
from tests.unit.web.fakes import busy

from freehold.server.web.charts import SCALE, attempts, durations, share, startup_s, waterfall

Seconds = st.floats(min_value=-1, max_value=1e6, allow_nan=False)


@given(st.dictionaries(st.text(min_size=1, max_size=12), Seconds, max_size=8))
def test_waterfall_bars_follow_each_other_within_the_scale(phases: dict[str, float]) -> None:
    bars = waterfall(phases)
    assert {b.label for b in bars} - {"other"} == set(phases) - {"total", "failed_in", "other"}
    assert all(0 <= b.x <= SCALE and b.width > 0 and b.x + b.width <= SCALE + 0.1 for b in bars)
    assert [b.x for b in bars] == sorted(b.x for b in bars)


def test_waterfall_shares() -> None:
    parent, fork = waterfall({"parent": 3.0, "fork": 1.0})
    assert (parent.x, parent.width, fork.x, fork.width, fork.tone) == (0, 750, 750, 250, "fork")


def test_what_happens_inside_the_parent_is_taken_out_of_it() -> None:
    phases = {"prepare": 0.1, "parent": 2.0, "fork": 0.1, "import": 1.5, "snap": 0.25, "enter": 0.3, "total": 3.0}
    found = {b.label: round(b.seconds, 6) for b in waterfall(phases)}
    assert found == {
        "prepare": 0.1,
        "parent": 0.25,
        "import": 1.5,
        "snap": 0.25,
        "fork": 0.1,
        "other": 0.5,
        "enter": 0.3,
    }
    assert list(found) == ["prepare", "parent", "import", "snap", "fork", "other", "enter"]
    assert startup_s(phases) == 3.0
    assert startup_s({"fork": 0.5}) == 0.5


def test_the_last_attempt_is_the_inputs_own() -> None:
    world = busy()
    detail = next(iter(world.details.values()))
    rows = attempts(detail, world.now)
    assert {index: [r.attempt.attempt for r in found] for index, found in rows.items() if len(found) > 1} == {
        2: [1, 2],
        6: [1, 2],
    }
    assert all(r.bar is not None and r.bar.x + r.bar.width <= SCALE + 0.1 for found in rows.values() for r in found)


def test_durations_are_of_finished_calls_oldest_first() -> None:
    points = durations(busy().calls)
    assert len(points) == 176
    assert [p.at for p in points] == sorted(p.at for p in points)


def test_share() -> None:
    assert (share(1, 4), share(9, 4), share(1, 0), share(-1, 4)) == (250, 1000, 0, 0)


def test_a_long_first_input_leaves_the_start_visible() -> None:
    parent, work = waterfall({"parent": 1.0, "first_input": 300.0})
    assert (parent.x, parent.width) == (0.0, SCALE)
    assert work.x + work.width == SCALE
