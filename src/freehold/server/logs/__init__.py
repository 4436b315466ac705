"""Logs: what instances write, collected into JSON-lines files, queried and followed."""

from freehold.server.logs.service import Logs
from freehold.server.logs.words import LogQuery, LogSource

__all__ = ["LogQuery", "LogSource", "Logs"]
