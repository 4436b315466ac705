"""What an OSError says of the machine, as an error of ours that names the fix."""

import errno
import os

from freehold.core.errors import Error, InternalError, ResourceExhaustedError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
_FIXES = {
    errno.EMFILE: "this process has no file descriptor left: raise its limit (`ulimit -n`), then start it again",
    errno.ENFILE: "this machine has no file descriptor left: raise fs.file-max, or end some processes",
    errno.EAGAIN: "no more processes may be started: raise the limit (`ulimit -u`, or the container's pids limit)",
    errno.ENOMEM: "this machine has no memory left: end some processes, or lower what runs at once",
}


def machine_error(error: OSError, place: "os.PathLike[str] | str | None" = None) -> Error | None:
    """The error for what the machine lacks, at `place` or the error's own file; None for any other kind."""
    where = place or error.filename
    if error.errno in _DISK_FULL:
        which = f"the disk that holds {where}" if where else "a disk that was written to"
        return ResourceExhaustedError(f"{which} is full: free some space, then try again")
    if error.errno in _NOT_WRITABLE:
        return InternalError(
            f"{where or 'a file'} cannot be used ({error.strerror}): check its disk, its owner and its permissions"
        )
    if error.errno in _FIXES:
        return ResourceExhaustedError(_FIXES[error.errno])
    return None
