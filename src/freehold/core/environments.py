"""Environments: apart from each other, apps, secrets and data may have the same names in two of them. `main` is there from the first day.

What is kept is kept by workspace; that of an environment is the workspace's own name for `main`, else both names, joined.
"""

import re

from freehold.core.errors import InvalidError

MAIN = "main"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_JOINT = "."


def check_environment(name: object) -> str:
    """Return the name; InvalidError says what one may be."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    msg = f"{str(name)[:100]!r} cannot name an environment: use 1 to 32 letters, digits, '_' and '-', and begin with a letter or a digit"
    raise InvalidError(msg)


def workspace_of(workspace: str, environment: str) -> str:
    """The name under which an environment's things are kept; `workspace` may be that of another environment."""
    root = root_of(workspace)
    return root if environment == MAIN else f"{root}{_JOINT}{environment}"


def environment_of(workspace: str) -> str:
    return workspace.partition(_JOINT)[2] or MAIN


def root_of(workspace: str) -> str:
    """The workspace itself, which all of its environments share."""
    return workspace.partition(_JOINT)[0]
