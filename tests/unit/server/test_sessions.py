"""Sticky sessions: an instance keeps its sessions while it lives, whatever comes and goes beside it."""

from hypothesis import given
from hypothesis import strategies as st

from freehold.server.dispatch import sessions
from freehold.server.dispatch.sessions import Sessions

_STEPS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sets(st.sampled_from("12345"), max_size=5)), max_size=40)


@given(_STEPS)
def test_a_session_moves_only_when_its_instance_has_gone(steps: list[tuple[str, set[str]]]) -> None:
    held, last = Sessions(), dict[str, str]()
    for session, live in steps:
        chosen = held.instance(session, live)
        if session in last and last[session] in live:
            assert chosen == last[session]
        assert (chosen in live) if live else chosen is None
        if chosen is not None:
            last[session] = chosen
        else:
            last.pop(session, None)


def test_the_least_lately_used_are_forgotten() -> None:
    held = Sessions()
    for n in range(sessions.KEPT + 5):
        held.instance(f"s{n}", ["in-1"])
    assert len(held) == sessions.KEPT
