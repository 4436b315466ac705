"""SQLite's errors as ours: which are of the unit that met them, and which of the whole store."""

import errno
import sqlite3
from pathlib import Path

from freehold.core import errors

_FULL, _IOERR, _READONLY, _CORRUPT, _CANTOPEN, _NOTADB, _BUSY, _NOMEM = 13, 10, 8, 11, 14, 26, 5, 7
_DAMAGED = (_CORRUPT, _NOTADB)
_OF_THE_STORE = (_FULL, _IOERR, _READONLY, _CANTOPEN, _BUSY, _NOMEM, *_DAMAGED)


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code; 0 when it is none of SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def of_the_store(error: BaseException) -> bool:
    """Any other unit would have met it too."""
    return isinstance(error, OSError) or primary_code(error) in _OF_THE_STORE


def disk_full(error: BaseException) -> bool:
    return primary_code(error) == _FULL or getattr(error, "errno", 0) == errno.ENOSPC


def translate(error: Exception, path: Path) -> errors.Error:
    """Our error for one of SQLite's; it names the file and the fix."""
    if isinstance(error, errors.Error):
        return error
    code, said = primary_code(error), f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    if disk_full(error):
        return errors.ResourceExhaustedError(
            f"the disk that holds {path} is full; free some space, then try again: {said}"
        )
    if code in (_IOERR, _READONLY, _CANTOPEN) or isinstance(error, OSError):
        return errors.DataLossError(f"{path} cannot be written; check the disk and its permissions: {said}")
    if code in _DAMAGED:
        return errors.DataLossError(f"{path} is damaged; restore a backup: {said}")
    if isinstance(error, sqlite3.IntegrityError) and "UNIQUE" in str(error):
        return errors.AlreadyExistsError(f"exists already: {str(error).rpartition(': ')[2]}")
    if code in (_BUSY, _NOMEM):
        return errors.ServiceError(f"{path} is busy; is a second server running on this home? {said}")
    return errors.InternalError(f"the store refused a write: {said}")
