"""Names of Modal's that have no counterpart here yet: programs that have them import, and are told why when they use them."""

from typing import Any, NoReturn

from freehold.core.errors import Error, UnimplementedError


def sessioned(*_: Any, **__: Any) -> NoReturn:
    raise UnimplementedError(
        "@modal.sessioned: sessions with tokens are not there yet; send a Modal-Session-Id header of your own, which @app.server keeps to one instance"
    )


class SandboxSnapshot:
    """A sandbox's memory on disk."""

    @staticmethod
    def from_id(sandbox_snapshot_id: str, **_: Any) -> NoReturn:
        raise UnimplementedError(
            f"SandboxSnapshot.from_id({sandbox_snapshot_id!r}): memory is not kept; Sandbox.snapshot_filesystem() keeps the files"
        )


def workspace_billing_report(**_: Any) -> NoReturn:
    raise UnimplementedError("billing: what runs is not billed yet; `freehold plan FILE` shows what an hour costs")


# ---- modal.experimental

NOT_HERE = {
    "get_local_input_concurrency": "it is what @modal.concurrent says",
    "set_local_input_concurrency": "it is what @modal.concurrent says",
}


def __getattr__(name: str) -> Any:
    if name not in NOT_HERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise UnimplementedError(f"modal.experimental.{name} is not there: {NOT_HERE[name]}")

    return refuse


# ---- exceptions that programs may catch, and that nothing here raises


class LogsFetchError(Error):
    """Too many lines of log were asked for; here there is no such bound."""


class WorkspaceManagementError(Error):
    """Of members and roles."""


class ModuleNotMountable(Exception):  # noqa: N818 (Modal's name)
    """A module without files."""


class UserCodeException(Exception):  # noqa: N818 (Modal's name)
    """What wrapped the exceptions that a map gave back; they are given back as they are."""


class AsyncUsageWarning(UserWarning):
    """A blocking method in async code."""


class InternalAPIWarning(UserWarning):
    """A private name was used."""
