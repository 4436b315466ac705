"""Where the running code is: on the user's own machine or in an instance, and for which call and input."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token

from freehold.core.errors import InvalidError

_call: ContextVar[str | None] = ContextVar("freehold_call", default=None)
_input: ContextVar[str | None] = ContextVar("freehold_input", default=None)
_planning = _loading = False
Tokens = tuple[Token[str | None], Token[str | None]]


def is_local() -> bool:
    """False inside an instance."""
    return os.environ.get("FREEHOLD_REMOTE") != "1"


@contextmanager
def planning() -> Generator[None]:
    """Programs that are loaded inside are only read: what they ask of a server is refused, in every thread."""
    global _planning  # noqa: PLW0603 (one program a process)
    _planning = True
    try:
        yield
    finally:
        _planning = False


def is_planned() -> bool:
    """Whether this process only reads a program, for `freehold plan`."""
    return _planning


class PlanEndsError(InvalidError):
    """A program that is only read asks something of a server; `what` it does."""

    what = ""


def refuse_in_plan(what: str) -> None:
    """Raise where a plan would need a server."""
    if _planning:
        msg = f'a plan runs nothing: {what} while the program is loaded; move that into a @app.local_entrypoint(), or under `if __name__ == "__main__":`'
        error = PlanEndsError(msg)
        error.what = what
        raise error


@contextmanager
def loading() -> Generator[None]:
    """For the runner: the program is loaded inside, for an instance."""
    global _loading  # noqa: PLW0603 (one program a process)
    _loading = True
    try:
        yield
    finally:
        _loading = False


def refuse_in_load(what: str) -> None:
    """Raise where an instance that loads the program would start it once more."""
    if _loading:
        msg = f'{what} stands where instances come by, too, as they load the program: put it under `if __name__ == "__main__":`, or into a @app.local_entrypoint()'
        raise InvalidError(msg)


def own_app_id() -> str | None:
    """The id of the app that this instance belongs to; None on the user's own machine."""
    return None if is_local() else os.environ.get("FREEHOLD_APP_ID")


def current_function_call_id() -> str | None:
    """The id of the call that this code runs for; None outside of one."""
    return _call.get()


def current_input_id() -> str | None:
    """The id of the input that this code runs for, `CALL:INDEX`; None outside of one."""
    return _input.get()


def current_index() -> int:
    """Which input of its call this code runs for; 0 outside of one."""
    return int((_input.get() or "0").rpartition(":")[2])


def enter_input(call: str, index: int) -> Tokens:
    """For the runner: this context works on an input from here on; give the result to `leave_input`."""
    return _call.set(call), _input.set(f"{call}:{index}")


def leave_input(tokens: Tokens) -> None:
    _call.reset(tokens[0])
    _input.reset(tokens[1])
