"""Which lines an address of the log page asks for."""

import pytest

from freehold.server.logs.words import LOG_TYPES
from freehold.server.web.logs import log_query


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ({}, ("inference", "training", "system")),  # the requests of this very page would drown the rest
        ({"type": "any"}, LOG_TYPES),
        ({"type": "api"}, ("api",)),
        ({"type": "unknown"}, ("inference", "training", "system")),
        ({"request_id": "rq-1"}, LOG_TYPES),
    ],
)
def test_requests_are_left_out_unless_they_are_asked_for(query: dict[str, str], types: tuple[str, ...]) -> None:
    assert log_query(query, 0.0).types == types
