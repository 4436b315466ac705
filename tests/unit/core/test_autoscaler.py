"""The autoscaler decides from a snapshot alone."""

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.autoscaler import Idle, PoolSnapshot, decide
from freehold.core.specs import Scaling


def snapshot(**changes: object) -> PoolSnapshot:
    values: dict[str, object] = {
        "scaling": Scaling(),
        "per_instance": 1,
        "waiting": 0,
        "running": 0,
        "live": 0,
    } | changes
    return PoolSnapshot(**values)  # type: ignore[arg-type]


def test_starts_one_instance_an_input_when_nothing_is_known_of_their_length() -> None:
    assert decide(snapshot(waiting=4), 0.0).start == 4


def test_short_inputs_start_no_instance_beside_the_one_that_absorbs_them() -> None:
    assert (
        decide(snapshot(waiting=500, running=1, live=1, mean_s=0.0001), 0.0).start == 1
    )  # 500 x 0.1 ms is one more's work
    assert decide(snapshot(waiting=500, live=1, mean_s=0.00001), 0.0).start == 0


def test_max_instances_bounds_the_start() -> None:
    assert decide(snapshot(waiting=50, live=2, scaling=Scaling(max_instances=3)), 0.0).start == 1


def test_instances_that_leave_count_for_the_maximum() -> None:
    scaling = Scaling(max_instances=3)
    assert decide(snapshot(waiting=50, live=1, leaving=1, scaling=scaling), 0.0).start == 1
    assert decide(snapshot(waiting=50, live=1, leaving=4, scaling=scaling), 0.0).start == 0


def test_buffer_is_kept_while_there_is_work_only() -> None:
    scaling = Scaling(buffer_instances=2)
    assert decide(snapshot(waiting=1, scaling=scaling), 0.0).start == 3
    assert decide(snapshot(scaling=scaling), 0.0).start == 0


def test_min_instances_are_there_without_work_and_never_stopped() -> None:
    scaling = Scaling(min_instances=1, scaledown_window_s=10)
    assert decide(snapshot(scaling=scaling), 0.0).start == 1
    assert decide(snapshot(scaling=scaling, live=1, idle=(Idle(instance="a", since=0.0),)), 100.0).stop == ()


def test_idle_instances_stop_after_the_window_the_oldest_first() -> None:
    idle = (Idle(instance="young", since=95.0), Idle(instance="old", since=10.0))
    plan = decide(snapshot(live=2, idle=idle, scaling=Scaling(scaledown_window_s=60)), 100.0)
    assert plan.stop == ("old",)


@given(
    waiting=st.integers(0, 1000), running=st.integers(0, 100), live=st.integers(0, 100), most=st.none() | st.integers(1, 50),
    least=st.integers(0, 5), mean=st.none() | st.floats(1e-6, 100),
)  # fmt: skip
def test_never_starts_and_stops_at_once_and_keeps_the_bounds(
    waiting: int, running: int, live: int, most: int | None, least: int, mean: float | None
) -> None:
    scaling = Scaling(min_instances=least if most is None else min(least, most), max_instances=most)
    idle = tuple(Idle(instance=str(n), since=0.0) for n in range(max(0, live - running)))
    plan = decide(
        snapshot(waiting=waiting, running=running, live=live, scaling=scaling, mean_s=mean, idle=idle), 1000.0
    )
    assert not (plan.start and plan.stop)
    assert most is None or live + plan.start <= max(most, live)
    assert live - len(plan.stop) >= min(live, scaling.min_instances)
    if waiting and not live and most != 0:
        assert plan.start >= 1
