"""The one table of error codes: code <-> exception class <-> HTTP status <-> gRPC status, read by server and client."""

from http import HTTPStatus

from freehold.core import errors

# code: (class a client raises, HTTP status, gRPC status name)
TABLE: dict[str, tuple[type[errors.Error], int, str]] = {
    "invalid_argument": (errors.InvalidError, HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT"),
    "failed_precondition": (errors.ConflictError, HTTPStatus.CONFLICT, "FAILED_PRECONDITION"),
    "unauthenticated": (errors.AuthError, HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED"),
    "permission_denied": (errors.PermissionDeniedError, HTTPStatus.FORBIDDEN, "PERMISSION_DENIED"),
    "not_found": (errors.NotFoundError, HTTPStatus.NOT_FOUND, "NOT_FOUND"),
    "already_exists": (errors.AlreadyExistsError, HTTPStatus.CONFLICT, "ALREADY_EXISTS"),
    "resource_exhausted": (errors.ResourceExhaustedError, HTTPStatus.TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
    "deadline_exceeded": (errors.TimeoutError, HTTPStatus.GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
    "cancelled": (errors.CancelledError, 499, "CANCELLED"),
    "unavailable": (errors.ServiceError, HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    "unimplemented": (errors.UnimplementedError, HTTPStatus.NOT_IMPLEMENTED, "UNIMPLEMENTED"),
    "data_loss": (errors.DataLossError, HTTPStatus.INTERNAL_SERVER_ERROR, "DATA_LOSS"),
    "aborted": (errors.ExecutionError, HTTPStatus.UNPROCESSABLE_ENTITY, "ABORTED"),
    "internal": (errors.InternalError, HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL"),
}

# classes that a code alone does not name; their own name crosses beside the code
_BY_NAME: dict[str, type[errors.Error]] = {
    c.__name__: c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.Error)
}


def http_status(error: errors.Error) -> int:
    return TABLE[error.code][1]


def from_wire(code: str, message: str, name: str | None = None) -> errors.Error:
    """Rebuild the class that the other side raised: by its `name` where that is ours, else by its `code`."""
    cls = _BY_NAME.get(name or "") or TABLE.get(code, TABLE["internal"])[0]
    return cls(message)
