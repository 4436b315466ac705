"""Phases of a start."""

from freehold.core.waterfall import ORDER, span_s, steps


def test_steps_come_in_order_and_the_parent_counts_its_imports_once() -> None:
    phases = {"enter": 0.5, "parent": 2.0, "import": 1.5, "total": 3.0, "queue": 0.1, "first_input": 0.2, "fork": 0.01}
    found = steps(phases)
    assert list(found) == [name for name in ORDER if name in found]
    assert found["parent"] == 0.5
    assert abs(found["other"] - (3.0 - 0.5 - 1.5 - 0.01 - 0.5)) < 1e-9


def test_nothing_is_left_over_when_the_phases_explain_the_total() -> None:
    assert steps({"fork": 0.004, "enter": 0.001, "total": 0.0052}) == {"fork": 0.004, "enter": 0.001}


def test_the_work_of_the_first_input_does_not_set_the_scale() -> None:
    assert span_s({"parent": 0.4, "fork": 0.1, "first_input": 300.0}) == 0.5
    assert span_s({"first_input": 300.0}) == 300.0
