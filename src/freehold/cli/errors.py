"""Exit codes, and how an error is shown: one message on stderr, never a traceback of Freehold's own.

0  done                                  5  the token is missing, stale or not allowed to
1  the user's program failed             6  in conflict with what is there
2  wrong usage, or an invalid program    7  not enough of something: memory, a GPU, disk
3  no server, or the connection broke    8  a deadline passed
4  no such thing                         9  the server failed, or can't do this (yet)
                                       130  interrupted
"""

import sys
from enum import IntEnum

from freehold.core import errors


class ExitCode(IntEnum):
    OK = 0
    PROGRAM = 1
    USAGE = 2
    CONNECTION = 3
    NOT_FOUND = 4
    AUTH = 5
    CONFLICT = 6
    EXHAUSTED = 7
    TIMEOUT = 8
    SERVER = 9
    INTERRUPTED = 130


_BY_CLASS: tuple[tuple[type[errors.Error], ExitCode], ...] = (  # the first that fits
    (errors.VersionError, ExitCode.CONNECTION),
    (errors.ConnectionError, ExitCode.CONNECTION),
    (errors.ServiceError, ExitCode.CONNECTION),
    (errors.AlreadyExistsError, ExitCode.CONFLICT),
    (errors.ConflictError, ExitCode.CONFLICT),
    (errors.InvalidError, ExitCode.USAGE),
    (errors.SerializationError, ExitCode.USAGE),
    (errors.AuthError, ExitCode.AUTH),
    (errors.PermissionDeniedError, ExitCode.AUTH),
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.ResourceExhaustedError, ExitCode.EXHAUSTED),
    (errors.FunctionTimeoutError, ExitCode.PROGRAM),
    (errors.StartupTimeoutError, ExitCode.PROGRAM),
    (errors.TimeoutError, ExitCode.TIMEOUT),
    (errors.ExecutionError, ExitCode.PROGRAM),
    (errors.CancelledError, ExitCode.INTERRUPTED),
    (errors.RemoteError, ExitCode.PROGRAM),
)


def exit_code_of(error: errors.Error) -> ExitCode:
    return next((code for cls, code in _BY_CLASS if isinstance(error, cls)), ExitCode.SERVER)


def report(error: errors.Error) -> None:
    """Print the error as one message on stderr."""
    from freehold.cli.output import stderr

    console = stderr()
    console.print("error:", style="bold red", end=" ")
    console.print(str(error) or type(error).__name__, markup=False, highlight=False, soft_wrap=True)
    sys.stderr.flush()
