"""Lines of the log."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line, as in the JSON-lines files; `extra` is the event's own fields."""

    timestamp: str  # RFC 3339, UTC, microseconds
    level: str
    message: str
    logger: str
    service: str
    type: str  # training, inference, system, api
    app: str = ""
    function: str = ""
    instance: str = ""
    call: str = ""
    request_id: str = ""
    stream: str = ""  # stdout, stderr
    seq: int = 0  # grows within an instance
    ending: str = (
        "\n"  # "" where the text goes on in the next line of its instance and stream, "\r" where that overwrites it
    )
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
