"""Which request and which trace the running code serves, as context variables; every log line carries them."""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A place in a W3C trace."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def header(self) -> str:
        """The `traceparent` to send on."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self) -> "Trace":
        return Trace(trace_id=self.trace_id, span_id=os.urandom(8).hex(), sampled=self.sampled)


request_id: ContextVar[str] = ContextVar("freehold_request_id", default="")
trace: ContextVar[Trace | None] = ContextVar("freehold_trace", default=None)


def parse_traceparent(header: str) -> Trace | None:
    """The trace that a `traceparent` header names; None when it is none."""
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None or set(match[1]) == {"0"} or set(match[2]) == {"0"}:
        return None
    return Trace(trace_id=match[1], span_id=match[2], sampled=bool(int(match[3], 16) & 1))


def new_trace() -> Trace:
    return Trace(trace_id=os.urandom(16).hex(), span_id=os.urandom(8).hex())


@contextmanager
def serving(request: str, traceparent: str = "") -> Generator[Trace]:
    """Run the body as this request's, in the caller's trace or a new one."""
    caller = parse_traceparent(traceparent)
    own = caller.child() if caller is not None else new_trace()
    request_token, trace_token = request_id.set(request), trace.set(own)
    try:
        yield own
    finally:
        request_id.reset(request_token)
        trace.reset(trace_token)


def fields() -> dict[str, str]:
    """What a log line says about its request; empty outside of one."""
    found = {"request_id": now} if (now := request_id.get()) else {}
    if (where := trace.get()) is not None:
        found |= {"trace_id": where.trace_id, "span_id": where.span_id}
    return found
