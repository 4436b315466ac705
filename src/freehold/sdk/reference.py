"""Where a function is found: in the app that runs, in the instance's own app, or by name on the server."""

import functools
import os
from typing import TYPE_CHECKING, Protocol

import msgspec

from freehold.core.errors import ExecutionError, InvalidError
from freehold.core.names import check_name
from freehold.protocol import schemas
from freehold.sdk.context import is_local, refuse_in_plan
from freehold.sdk.environment import api_of, named

if TYPE_CHECKING:
    from freehold.sdk.image import Image
    from freehold.sdk.options import Declaration


class Running(Protocol):
    """What a reference needs of an App."""

    @property
    def name(self) -> str | None: ...
    @property
    def handles(self) -> "dict[str, schemas.FunctionHandle]": ...
    @property
    def main(self) -> str | None: ...
    @property
    def _image(self) -> "Image | None": ...


class Reference:
    """One function of an app, by name; `known` is cheap, `find` may ask the server."""

    def __init__(
        self,
        name: str,
        *,
        app: Running | None = None,
        app_name: str | None = None,
        handle: "schemas.FunctionHandle | None" = None,
        own: bool = False,
        version: int | None = None,
        environment: str | None = None,
    ) -> None:
        self.name, self._version, self._environment = name, version, environment
        self._app, self._app_name, self._handle = app, app_name, handle
        self._own = own or app is not None  # of the program itself, not of an app that was named

    @staticmethod
    def deployed(
        app_name: str,
        name: str,
        *,
        version: int | None = None,
        environment_name: str | None = None,
        client: object = None,
    ) -> "Reference":
        """One of a deployed app; the arguments are those that a program gives to `from_name`."""
        check_name(app_name, "an app")
        environment = named(environment_name, client)
        return Reference(name, app_name=app_name, version=_checked_version(version), environment=environment)

    @property
    def app_name(self) -> str | None:
        return self._app.name if self._app is not None else self._app_name

    @property
    def app(self) -> Running | None:
        """The app of the program that it belongs to."""
        return self._app

    def image(self, declaration: "Declaration | None") -> "Image | None":
        """The image that it was declared with, or its app's; None: the default one."""
        given = declaration.options.get("image") if declaration is not None else None
        return given or (self._app._image if self._app is not None else None)

    @property
    def main(self) -> str | None:
        """The module name under which the function's side knows our `__main__`; None: it does not know it."""
        return self._app.main if self._app is not None else None

    def known(self) -> "schemas.FunctionHandle | None":
        if self._app is not None:
            return self._app.handles.get(self.name)
        return self._handle

    def find(self) -> "schemas.FunctionHandle":
        """Raise ExecutionError when its app does not run, NotFoundError when the server does not know it."""
        handle = self.known() or (_siblings().get(self.name) if self._own and not is_local() else None)
        if handle is not None and self._app is not None:
            self._app.handles[self.name] = handle
        if handle is None:
            handle = self._handle = self._ask()
        return handle

    def _ask(self) -> "schemas.FunctionHandle":
        refuse_in_plan(f"function {self.name!r} is called")
        if self._app is not None and (is_local() or self.app_name is None):
            msg = (
                f"function {self.name!r} cannot be called: its app does not run. Use `freehold run FILE`, or call it inside "
                f'`with app.run():`; a deployed one is `Function.from_name("{self.app_name or "APP"}", "{self.name}")`'
            )
            raise ExecutionError(msg)
        from freehold.sdk.http import segment

        path = f"/v1/functions/{segment(self.app_name or '')}/{segment(self.name)}"
        query = {} if self._version is None else {"version": self._version}
        return api_of(self._environment).get(path, schemas.FunctionHandle, query)

    def __reduce__(self) -> tuple[object, ...]:
        where = self._version, self._environment
        return _restore, (self.name, self.app_name, self.known(), self._own, *where)


def _restore(
    name: str,
    app_name: str | None,
    handle: "schemas.FunctionHandle | None",
    own: bool,
    version: int | None,
    environment: str | None = None,
) -> Reference:
    return Reference(name, app_name=app_name, handle=handle, own=own, version=version, environment=environment)


def _checked_version(version: object) -> int | None:
    """InvalidError for what is no version of an app."""
    if version is None or (isinstance(version, int) and not isinstance(version, bool) and version > 0):
        return version
    msg = f"version={version!r} is no version of an app: those are counted from 1"
    raise InvalidError(msg)


@functools.cache
def _siblings() -> "dict[str, schemas.FunctionHandle]":
    """Inside an instance: the functions of its own app."""
    return msgspec.json.decode(os.environ.get("FREEHOLD_FUNCTIONS", "{}"), type=dict[str, schemas.FunctionHandle])


os.register_at_fork(after_in_child=_siblings.cache_clear)  # a warm parent has another environment than its instances
