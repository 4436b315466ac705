"""Structured logs, metrics and request context: what the platform tells of itself."""
