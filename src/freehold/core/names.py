"""What names may be: of apps, functions, classes, volumes and secrets, of endpoints' labels, of environment variables."""

import re

from freehold.core.errors import InvalidError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SHOWN = 100


def is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_name(name: object, what: str) -> str:
    """Return the name; InvalidError says what a name of `what` ("an app") may be."""
    if isinstance(name, str) and is_name(name):
        return name
    msg = f"{_shown(name)} cannot name {what}: use 1 to 64 letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_'"
    raise InvalidError(msg)


def check_label(label: object) -> str:
    """Return the label of an endpoint; InvalidError when it cannot be a part of a host name."""
    if isinstance(label, str) and _LABEL.fullmatch(label):
        return label
    msg = f"label {_shown(label)} is not a host name part: small letters, digits and dashes, at most 63"
    raise InvalidError(msg)


def is_variable(key: object) -> bool:
    """Whether an environment variable can have this name."""
    return isinstance(key, str) and key != "" and "=" not in key and "\0" not in key


def _shown(value: object) -> str:
    return f"{value[:_SHOWN]!r}" if isinstance(value, str) else repr(value)[:_SHOWN]
