"""Secret: values that reach an instance as environment variables, by name or given in the program."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from freehold.core.errors import InvalidError
from freehold.core.names import check_name
from freehold.core.specs import SecretRef
from freehold.sdk.checks import variables
from freehold.sdk.context import is_local


class Secret:
    """Made by `from_name`, `from_dict`, `from_local_environ` or `from_dotenv`."""

    def __init__(self, spec: SecretRef, label: str) -> None:
        self.spec, self._label = spec, label

    def __repr__(self) -> str:
        return f"Secret({self._label})"  # never its values

    @staticmethod
    def from_name(name: str, *, required_keys: Sequence[str] = (), environment_name: str | None = None) -> "Secret":
        """A secret that the server keeps; a function that names it does not start without its `required_keys`."""
        del environment_name  # one environment a server
        check_name(name, "a secret")
        if isinstance(required_keys, str):
            msg = f"Secret.from_name({name!r}): required_keys={required_keys!r} is one text: give a list, [{required_keys!r}]"
            raise InvalidError(msg)
        return Secret(SecretRef(name=name, required_keys=tuple(required_keys)), name)

    @staticmethod
    def from_dict(env_dict: Mapping[str, str | None]) -> "Secret":
        """Values given in the program; a key whose value is None is left out."""
        values = variables(env_dict, "Secret.from_dict")
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
    def from_dotenv(path: str | os.PathLike[str] | None = None, *, filename: str = ".env") -> "Secret":
        """Variables of a `.env` file: the one beside or above `path`, else beside or above the working directory."""
        if not is_local():
            return Secret.from_dict({})
        start = Path(path or Path.cwd()).absolute()
        if start.is_file() and start.name == filename:
            return Secret.from_dict(parse_dotenv(start.read_text()))
        for folder in (start if start.is_dir() else start.parent, *start.parents):
            if (folder / filename).is_file():
                return Secret.from_dict(parse_dotenv((folder / filename).read_text()))
        msg = f"Secret.from_dotenv: no {filename!r} in {str(start)!r} or above it"
        raise InvalidError(msg)


def parse_dotenv(text: str) -> dict[str, str]:
    """`KEY=value` lines; quotes and `export` are taken off, `#` begins a comment."""
    values: dict[str, str] = {}
    for raw in text.splitlines():
        key, equals, value = raw.strip().removeprefix("export ").partition("=")
        if not equals or key.startswith("#"):
            continue
        values[key.strip()] = _unquote(value.strip())
    return values


def _unquote(value: str) -> str:
    quote = value[:1]
    if quote in ("'", '"') and quote in value[1:]:
        inner = value[1 : value.index(quote, 1)]
        return inner.replace("\\n", "\n") if quote == '"' else inner
    return value.split(" #", 1)[0].rstrip()
