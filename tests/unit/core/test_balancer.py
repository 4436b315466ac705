"""Which instance a session goes to."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.balancer import rendezvous

_INSTANCES = st.sets(st.text(min_size=1), min_size=1, max_size=8)


@given(st.text(), _INSTANCES, st.data())
def test_only_the_sessions_of_an_instance_that_goes_move(
    session: str, instances: set[str], data: st.DataObject
) -> None:
    chosen = rendezvous(session, instances)
    assert chosen in instances
    gone = data.draw(st.sampled_from(sorted(instances)))
    left = rendezvous(session, instances - {gone})
    assert chosen in (left, gone)


@given(st.text(), _INSTANCES)
def test_the_order_of_the_instances_does_not_matter(session: str, instances: set[str]) -> None:
    assert rendezvous(session, sorted(instances)) == rendezvous(session, sorted(instances, reverse=True))


def test_sessions_are_spread_evenly() -> None:
    counts = Counter(rendezvous(f"session {n}", ["in-a", "in-b", "in-c"]) for n in range(3000))
    assert all(850 < count < 1150 for count in counts.values())


def test_there_may_be_nobody() -> None:
    assert rendezvous("s", []) is None
