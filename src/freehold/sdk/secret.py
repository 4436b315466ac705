"""Secret: values that reach an instance as environment variables, by name or given in the program."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from freehold.core.environments import MAIN
from freehold.core.errors import AlreadyExistsError, DeprecationError, InvalidError, NotFoundError
from freehold.core.names import check_name
from freehold.core.specs import SecretRef
from freehold.sdk.checks import variables
from freehold.sdk.context import is_local
from freehold.sdk.entries import SecretInfo, moment
from freehold.sdk.environment import api_of, check_own, given
from freehold.sdk.faces import blocking, both, both_static
from freehold.sdk.objects import Objects, newest
from freehold.sdk.tracebacks import warn

if TYPE_CHECKING:
    from freehold.protocol.schemas import SecretView
    from freehold.sdk.http import Api

Values = Mapping[str, str | None]


class SecretManager(Objects["Secret"]):
    """`Secret.objects`: secrets by name. For programs on the owner's machine: instances may not keep or read secrets."""

    @both
    async def create(
        self,
        name: str,
        env_dict: Values,
        *,
        allow_existing: bool = False,
        environment_name: str | None = None,
        client: object = None,
    ) -> None:
        """Keep values under a name. When there is one: AlreadyExistsError, or with `allow_existing` it stays as it is."""
        del client  # one a process
        try:
            await blocking(_put, api_of(given(environment_name)), name, variables(env_dict, "Secret.objects.create"))
        except AlreadyExistsError:
            if not allow_existing:
                raise

    async def _newest(self, limit: int | None, before_s: float | None, environment: str | None) -> "list[Secret]":
        from freehold.protocol.schemas import SecretView

        views = await blocking(api_of(environment).get, "/v1/secrets", list[SecretView])
        return [Secret.from_name(v.name, environment_name=environment)._take(v) for v in newest(views, limit, before_s)]

    async def _delete(self, name: str, environment: str | None) -> None:
        await blocking(api_of(environment).act, "DELETE", _path(name))


class Secret:
    """Made by `from_name`, `from_dict`, `from_local_environ` or `from_dotenv`."""

    objects = SecretManager()

    def __init__(self, spec: SecretRef, label: str, environment: str | None = None) -> None:
        self._spec, self._label, self._environment = spec, label, environment
        self._view: SecretView | None = None

    def __repr__(self) -> str:
        return f"Secret({self._label})"  # never its values

    @property
    def spec(self) -> SecretRef:
        """How a function's spec names it."""
        check_own(self._environment, repr(self))
        return self._spec

    @staticmethod
    def from_name(
        name: str, *, environment_name: str | None = None, required_keys: Sequence[str] = (), client: object = None
    ) -> "Secret":
        """A secret that the server keeps; a function that names it does not start without its `required_keys`."""
        del client  # as above
        check_name(name, "a secret")
        if isinstance(required_keys, str):
            msg = f"Secret.from_name({name!r}): required_keys={required_keys!r} is one text: give a list, [{required_keys!r}]"
            raise InvalidError(msg)
        return Secret(SecretRef(name=name, required_keys=tuple(required_keys)), name, given(environment_name))

    @staticmethod
    def from_dict(env_dict: Values | None = None) -> "Secret":
        """Values given in the program; a key whose value is None is left out."""
        values = variables({} if env_dict is None else env_dict, "Secret.from_dict")
        return Secret(SecretRef(values=values), f"keys: {', '.join(sorted(values)) or 'none'}")

    @staticmethod
    def from_local_environ(env_keys: Sequence[str]) -> "Secret":
        """Variables of this process's environment, as they are when the program is deployed."""
        if not is_local():
            return Secret.from_dict({})
        missing = [k for k in env_keys if k not in os.environ]
        if missing:
            msg = f"Secret.from_local_environ: {', '.join(missing)} is not set in this environment: export it first"
            raise InvalidError(msg)
        return Secret.from_dict({k: os.environ[k] for k in env_keys})

    @staticmethod
    def from_dotenv(
        path: str | os.PathLike[str] | None = None, *, filename: str = ".env", client: object = None
    ) -> "Secret":
        """Variables of a `.env` file: the one beside or above `path`, else beside or above the working directory."""
        del client
        if not is_local():
            return Secret.from_dict({})
        start = Path.cwd() if path is None else Path(path).absolute()
        if not start.exists():
            msg = f"Secret.from_dotenv: there is no {str(start)!r} to look beside: give a file or a folder, such as __file__"
            raise InvalidError(msg)
        for folder in (start if start.is_dir() else start.parent, *start.parents):
            if (folder / filename).is_file():
                return Secret.from_dict(_dotenv(folder / filename))
        warn(f"Secret.from_dotenv: there is no {filename!r} in {str(start)!r} or above it, so the secret is empty")
        return Secret.from_dict({})

    # ---- what the server keeps

    @property
    def name(self) -> str | None:
        """Its name; None for values given in the program."""
        return self._spec.name

    @property
    def object_id(self) -> str:
        return self._known("object_id").id

    @both
    async def hydrate(self, client: object = None) -> Self:
        """Ask the server for it now; NotFoundError when it is not there."""
        del client
        if self._spec.name is not None:
            await blocking(self._known, "hydrate")
        return self

    @both
    async def info(self, *, refresh: bool = False) -> SecretInfo:
        """When it was made, and its name."""
        view = await blocking(self._known, "info", refresh=refresh)
        return SecretInfo(
            name=view.name, environment_name=self._api().target.environment or MAIN, created_at=moment(view.created)
        )

    @both
    async def update(self, env_dict: Mapping[str, str]) -> None:
        """Add keys, or give them other values; the rest stays. Instances that run keep what they have."""
        from freehold.protocol.schemas import SecretUpdate, SecretView

        values = variables(env_dict, f"{self!r}.update")
        path = _path(self._named("update"))
        self._view = await blocking(self._api().send, "PATCH", path, SecretUpdate(values=values), SecretView)

    # ---- names that Modal has given up

    @staticmethod
    @both_static
    async def lookup(
        name: str, client: object = None, environment_name: str | None = None, required_keys: Sequence[str] = ()
    ) -> "Secret":
        """As `from_name(...).hydrate()`."""
        del client
        warn("Secret.lookup is now Secret.from_name(...).hydrate()", DeprecationError)
        secret = Secret.from_name(name, environment_name=environment_name, required_keys=required_keys)
        await blocking(secret._known, "lookup")
        return secret

    @staticmethod
    @both_static
    async def create_deployed(
        deployment_name: str,
        env_dict: Values,
        client: object = None,
        environment_name: str | None = None,
        overwrite: bool = False,
    ) -> str:
        """As `objects.create`; gives the id."""
        del client
        warn("Secret.create_deployed is now Secret.objects.create", DeprecationError)
        values = variables(env_dict, "Secret.create_deployed")
        return (await blocking(_put, api_of(given(environment_name)), deployment_name, values, force=overwrite)).id

    # ---- how

    def _api(self) -> "Api":
        return api_of(self._environment)

    def _take(self, view: "SecretView") -> "Secret":
        self._view = view
        return self

    def _named(self, what: str) -> str:
        if self._spec.name is None:
            msg = f"{self!r} is given in the program and has no {what}: keep it with Secret.objects.create, and use Secret.from_name"
            raise InvalidError(msg)
        return self._spec.name

    def _known(self, what: str, *, refresh: bool = False) -> "SecretView":
        """What the server says of it, asked once."""
        from freehold.protocol.schemas import SecretView

        if self._view is None or refresh:
            view = self._api().get(_path(self._named(what)), SecretView)
            lacking = [k for k in self._spec.required_keys if k not in view.keys]
            if lacking:
                msg = f"secret {view.name!r} has no key {lacking[0]!r}; add it with Secret.from_name({view.name!r}).update({{{lacking[0]!r}: …}})"
                raise NotFoundError(msg)
            self._view = view
        return self._view


def _path(name: str) -> str:
    return f"/v1/secrets/{quote(check_name(name, 'a secret'), safe='')}"


def _put(api: "Api", name: str, values: dict[str, str], *, force: bool = False) -> "SecretView":
    from freehold.protocol.schemas import SecretRequest, SecretView

    return api.send("PUT", _path(name), SecretRequest(values=values, force=force), SecretView)


def _dotenv(path: Path) -> dict[str, str]:
    """As python-dotenv reads it: `${OTHER}` is put in, a key without a value is empty."""
    from dotenv import dotenv_values

    try:
        return {key: value or "" for key, value in dotenv_values(path).items()}
    except (OSError, UnicodeDecodeError) as error:
        msg = f"Secret.from_dotenv: {str(path)!r} cannot be read: {error}"
        raise InvalidError(msg) from error
