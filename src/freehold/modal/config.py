"""`modal.config.config`: the settings that programs look up, by Modal's names. What MODAL_… says holds, else what Freehold does."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from freehold.core.errors import Error, InvalidError
from freehold.sdk.config import discover


class _Setting(NamedTuple):
    default: Any = None
    read: Callable[[str], Any] = str


def _flag(text: str) -> bool:
    return text.strip().lower() not in ("", "0", "false", "no")


_SETTINGS = {
    "server_url": _Setting(),
    "token_id": _Setting(),
    "token_secret": _Setting(),
    "environment": _Setting(),
    "loglevel": _Setting("WARNING", str.upper),
    "log_format": _Setting("STRING", str.upper),
    "log_pattern": _Setting(),
    "logs_timeout": _Setting(10.0, float),
    "serve_timeout": _Setting(None, float),
    "traceback": _Setting(False, _flag),
    "dev_suffix": _Setting(""),
    "force_build": _Setting(False, _flag),
    "ignore_cache": _Setting(False, _flag),
    "build_validation": _Setting("error"),
    "image_builder_version": _Setting(),
    "max_throttle_wait": _Setting(None, int),
}


class Config:
    """The settings, as they are when they are asked for."""

    def get(self, key: str, *, profile: str | None = None, use_env: bool = True) -> Any:
        """The value of one; KeyError for what is no setting. Freehold's own profiles hold servers, and no settings."""
        del profile
        setting, text = _SETTINGS[key], os.environ.get(_variable(key)) if use_env else None
        if text is None:
            return _of_the_server(key) if key in ("server_url", "environment") else setting.default
        try:
            return setting.read(text)
        except ValueError as error:
            msg = f"{_variable(key)}={text!r} cannot be read: {error}"
            raise InvalidError(msg) from None

    def override_locally(self, key: str, value: str) -> None:
        """Set one for this process and what it starts."""
        if key not in _SETTINGS:
            raise KeyError(key)
        os.environ[_variable(key)] = value

    def to_dict(self) -> dict[str, Any]:
        return {key: self.get(key) for key in sorted(_SETTINGS)}

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def __repr__(self) -> str:
        return repr(self.to_dict())


config = Config()


def __getattr__(name: str) -> Any:
    """`_profile`, which programs build addresses with: the active profile's name, as it is when it is asked for."""
    if name != "_profile":
        raise AttributeError(f"module 'modal.config' has no attribute {name!r}")
    from freehold.core.home import Home
    from freehold.sdk import profiles

    return os.environ.get("MODAL_PROFILE") or profiles.chosen(Home.default()).name


def _variable(key: str) -> str:
    return f"MODAL_{key.upper()}"


def _of_the_server(key: str) -> str | None:
    try:
        target = discover()
    except Error:  # there is none
        return None
    return target.api if key == "server_url" else target.environment or None
