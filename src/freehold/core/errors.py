"""The one error tree. Each class carries a stable `code`; `protocol.errors` maps codes to HTTP and gRPC and back.

Error                              internal
├── InvalidError                   invalid_argument      what the user gave cannot be right
│   ├── ConflictError              failed_precondition   right in itself, but not in this state
│   │   └── NotMountedError            a volume that this code does not have mounted; also a builtin RuntimeError
│   └── RequestSizeError           invalid_argument      one value that is larger than it may be
├── AuthError                      unauthenticated       no token, or one that is not known
├── PermissionDeniedError          permission_denied     a known token that may not do this
├── NotFoundError                  not_found
│   └── NoFileError                    no such file; also a builtin FileNotFoundError
├── AlreadyExistsError             already_exists
│   └── FileThereError                 there is such a file; also a builtin FileExistsError
├── ResourceExhaustedError         resource_exhausted    a queue, a disk or a device is full
├── TimeoutError                   deadline_exceeded     also a builtin TimeoutError
│   ├── FunctionTimeoutError           an input ran past its `timeout`
│   ├── StartupTimeoutError            an instance was not ready within `startup_timeout`
│   ├── OutputExpiredError             a result is no longer kept
│   ├── SandboxTimeoutError            a sandbox reached its `timeout`, or something of it took too long
│   ├── ExecTimeoutError               a command in a sandbox ran past its own `timeout`
│   ├── InteractiveTimeoutError        nobody took the other end of a terminal
│   ├── MountUploadTimeoutError        local files took too long to send
│   └── VolumeUploadTimeoutError       files for a volume took too long to send
├── ConnectionError                unavailable           no server there, or the link broke; also a builtin ConnectionError
│   ├── VersionError               failed_precondition   client and server speak different versions
│   └── ClientClosed               unavailable           this process closed its client
├── ServiceError                   unavailable
├── UnimplementedError             unimplemented
├── DataLossError                  data_loss
├── InternalError                  internal
├── ExecutionError                 aborted               user code could not be run to its end
│   ├── InstanceDiedError              the process that ran it died, attempts exhausted
│   └── StartError                     the user's module or an `@enter` hook failed
├── SandboxTerminatedError         aborted               a sandbox was ended from outside
├── SandboxFilesystemError         failed_precondition   a file of a sandbox cannot be worked on
│   ├── SandboxFilesystemNotFoundError, …IsADirectoryError, …NotADirectoryError, …DirectoryNotEmptyError,
│   └── …PermissionError, …PathAlreadyExistsError, …FileTooLargeError
├── SnapshotCreationError          failed_precondition   a sandbox's files could not be kept
├── RemoteError                    aborted               user code raised something that cannot be rebuilt here
│   ├── CancelledError             cancelled             the call was cancelled
│   └── ImageBuildError            failed_precondition   a step of an image failed
├── SerializationError             invalid_argument      a value cannot be pickled or written as JSON
└── DeserializationError           invalid_argument      bytes cannot be turned back into a value

UserWarning
├── DeprecationError               an old name, which still works; the warning shows the new one
└── ServerWarning                  what the server has to say beside its answer

BaseException
└── InputCancellation              cancelled             raised inside user code whose input was cancelled
"""

import builtins
from typing import ClassVar


class Error(Exception):
    """Root of everything Freehold raises."""

    code: ClassVar[str] = "internal"


class InvalidError(Error):
    code = "invalid_argument"


class ConflictError(InvalidError):
    code = "failed_precondition"


class NotMountedError(ConflictError, RuntimeError):
    """`commit` or `reload` of a volume where it is not mounted."""


class RequestSizeError(InvalidError):
    """One value is larger than it may be."""


class AuthError(Error):
    code = "unauthenticated"


class PermissionDeniedError(Error):
    code = "permission_denied"


class NotFoundError(Error):
    code = "not_found"


class NoFileError(NotFoundError, builtins.FileNotFoundError):
    """There is no such file or folder in the volume."""


class AlreadyExistsError(Error):
    code = "already_exists"


class FileThereError(AlreadyExistsError, builtins.FileExistsError):
    """There is a file of this name in the volume already."""


class ResourceExhaustedError(Error):
    code = "resource_exhausted"
    retry_after_s: float = 0.0  # when it may help to try again; 0: unknown


class TimeoutError(Error, builtins.TimeoutError):  # noqa: A001 (the field's name; it is a builtin TimeoutError too)
    code = "deadline_exceeded"


class FunctionTimeoutError(TimeoutError):
    """An input ran past its function's `timeout`."""


class StartupTimeoutError(TimeoutError):
    """An instance was not ready within its function's `startup_timeout`."""


class OutputExpiredError(TimeoutError):
    """The result was not kept, or is kept no longer."""


class InteractiveTimeoutError(TimeoutError):
    """Nobody took the other end of a terminal."""


class MountUploadTimeoutError(TimeoutError):
    """Local files took too long to send."""


class VolumeUploadTimeoutError(TimeoutError):
    """Files for a volume took too long to send."""


class SandboxTimeoutError(TimeoutError):
    """A sandbox reached its `timeout`, or what was asked of it took too long."""


class ExecTimeoutError(TimeoutError):
    """A command in a sandbox ran past its own `timeout`."""


class InputCancellation(BaseException):  # the name users know
    """Raised inside user code whose input was cancelled; a BaseException, so that `except Exception` lets it through."""

    code: ClassVar[str] = "cancelled"


class ConnectionError(Error, builtins.ConnectionError):  # noqa: A001 (as above)
    code = "unavailable"


class VersionError(ConnectionError):
    code = "failed_precondition"


class ClientClosed(ConnectionError):  # noqa: N818 (the name users know)
    """This process closed its client."""


class DeprecationError(UserWarning):
    """An old name was used, which still works. A UserWarning, since Python hides other deprecations from who runs a program."""


class ServerWarning(UserWarning):
    """What the server has to say beside its answer."""


class ServiceError(Error):
    code = "unavailable"


class UnimplementedError(Error):
    code = "unimplemented"


class DataLossError(Error):
    code = "data_loss"


class InternalError(Error):
    code = "internal"


class ExecutionError(Error):
    code = "aborted"


class InstanceDiedError(ExecutionError):
    """The process that ran an input died, and no attempt is left."""


class StartError(ExecutionError):
    """The user's module or an `@enter` hook raised while an instance started."""


class SandboxTerminatedError(Error):
    """A sandbox was ended from outside."""

    code = "aborted"


class SandboxFilesystemError(Error):
    code = "failed_precondition"


class SandboxFilesystemNotFoundError(SandboxFilesystemError): ...


class SandboxFilesystemIsADirectoryError(SandboxFilesystemError): ...


class SandboxFilesystemNotADirectoryError(SandboxFilesystemError): ...


class SandboxFilesystemDirectoryNotEmptyError(SandboxFilesystemError): ...


class SandboxFilesystemPermissionError(SandboxFilesystemError): ...


class SandboxFilesystemPathAlreadyExistsError(SandboxFilesystemError): ...


class SandboxFilesystemFileTooLargeError(SandboxFilesystemError): ...


class SnapshotCreationError(Error):
    code = "failed_precondition"


class RemoteError(Error):
    code = "aborted"


class CancelledError(RemoteError):
    code = "cancelled"


class ImageBuildError(RemoteError):
    code = "failed_precondition"


class SerializationError(Error):
    code = "invalid_argument"


class DeserializationError(Error):
    code = "invalid_argument"
