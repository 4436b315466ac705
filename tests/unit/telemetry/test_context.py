"""Request and trace context."""

import asyncio

import pytest

from freehold.telemetry import context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_request_goes_on_in_its_callers_trace() -> None:
    assert context.fields() == {}
    with context.serving("rq-1", f"00-{TRACE}-{SPAN}-00") as own:
        assert (own.trace_id, own.sampled) == (TRACE, False)
        assert own.span_id != SPAN
        assert context.fields() == {"request_id": "rq-1", "trace_id": TRACE, "span_id": own.span_id}
        assert own.header() == f"00-{TRACE}-{own.span_id}-00"
    assert context.fields() == {}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "junk",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
    ],
)
def test_what_is_no_trace_begins_a_new_one(header: str) -> None:
    assert context.parse_traceparent(header) is None
    with context.serving("rq-1", header) as own:
        assert context.parse_traceparent(own.header()) == own
        assert own.trace_id != TRACE


async def test_tasks_keep_their_own_context() -> None:
    async def serve(name: str) -> str:
        with context.serving(name):
            await asyncio.sleep(0)
            return context.request_id.get()

    assert await asyncio.gather(serve("a"), serve("b")) == ["a", "b"]
