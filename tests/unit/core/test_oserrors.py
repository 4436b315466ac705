"""An OSError of the machine becomes an error that names what is lacking; any other stays itself."""

import errno
import os

import pytest

from freehold.core.errors import InternalError, ResourceExhaustedError
from freehold.core.oserrors import machine_error


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.ENOSPC, ResourceExhaustedError, "/home/x is full"),
        (errno.EDQUOT, ResourceExhaustedError, "/home/x is full"),
        (errno.EROFS, InternalError, "Read-only"),
        (errno.EACCES, InternalError, "Permission denied"),
        (errno.EMFILE, ResourceExhaustedError, "ulimit -n"),
        (errno.EAGAIN, ResourceExhaustedError, "ulimit -u"),
        (errno.ENOMEM, ResourceExhaustedError, "memory"),
    ],
)
def test_what_the_machine_lacks_is_named(number: int, kind: type[Exception], word: str) -> None:
    told = machine_error(OSError(number, os.strerror(number), "/home/x"))
    assert isinstance(told, kind)
    assert word in str(told)


def test_what_is_no_lack_of_the_machine_is_left_alone() -> None:
    assert machine_error(FileNotFoundError(errno.ENOENT, "no", "/x")) is None
    assert machine_error(BrokenPipeError(errno.EPIPE, "no")) is None
