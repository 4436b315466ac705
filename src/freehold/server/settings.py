"""The server's settings: flags over environment (`FREEHOLD_…`, `__` nests) over `freehold.toml` over defaults."""

import ipaddress
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from freehold.core.devices import parse_declared
from freehold.core.errors import InvalidError
from freehold.core.home import Home

DEFAULT_PORT = 8700
# read by clients, launchers and instances; no settings of the server
_ELSEWHERE = {
    "FREEHOLD_SERVER",
    "FREEHOLD_TOKEN",
    "FREEHOLD_TOKEN_FILE",
    "FREEHOLD_PROFILE",
    "FREEHOLD_MODAL",
    "FREEHOLD_ENVIRONMENT",
    "FREEHOLD_FORCE_BUILD",
}


class Settings(BaseSettings):
    """Each field is a key of `freehold.toml` and, in capitals behind `FREEHOLD_`, an environment variable."""

    model_config = SettingsConfigDict(env_prefix="FREEHOLD_", env_nested_delimiter="__", extra="forbid", frozen=True)

    home: Path = Field(default_factory=lambda: Home.default().root, description="everything this platform keeps")
    host: str = Field("127.0.0.1", description="address to listen on; beyond loopback only with allow_remote")
    port: int = Field(
        DEFAULT_PORT, ge=0, le=65535, description="port of the API and the dashboard; web endpoints take those above it"
    )
    allow_remote: bool = Field(
        False, description="listen beyond loopback; every request but health checks then needs the token"
    )
    devices: str | None = Field(
        None, description='declared, simulated accelerators, such as "A10G:2,T4:1"; unset: ask NVML'
    )
    lease_s: float = Field(15.0, gt=0.2, description="an instance that sends no heartbeat for so long is replaced")
    drain_s: float = Field(10.0, ge=0, description="how long running inputs may go on when the server stops")
    call_retention_days: float = Field(30.0, gt=0, description="finished calls and their results are kept so long")
    log_max_bytes: int = Field(64 * 2**20, ge=2**16, description="size at which a log file is rotated")
    log_files_kept: int = Field(10, ge=1, description="rotated files kept for each log")
    log_level: str = Field("info", pattern="(?i)^(debug|info|warning|error)$", description="of the server's own log")
    host_apt: bool = Field(
        False,
        description="builds of images may install the Debian packages that this machine lacks, with apt-get, as root",
    )
    missing_apt: Literal["error", "warn"] = Field(
        "error",
        description="what a build does that lacks Debian packages: fail, or warn and go on, for programs whose wheels bring what they need",
    )
    acquire_timeout_s: float = Field(300.0, gt=0, description="how long a web request waits for a cold pool")

    @field_validator("devices")
    @classmethod
    def _devices(cls, value: str | None) -> str | None:
        if value:
            parse_declared(value)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Home.default().config)

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def load(**flags: Any) -> Settings:
    """Read the settings; InvalidError names the key, the value and where it came from."""
    unknown = sorted(
        k
        for k in os.environ
        if k.startswith("FREEHOLD_") and k not in _ELSEWHERE and k[9:].lower() not in Settings.model_fields
    )
    if unknown:
        raise InvalidError(
            f"unknown setting {unknown[0]} in the environment; known: {', '.join(sorted(Settings.model_fields))}"
        )
    try:
        settings = Settings(**{k: v for k, v in flags.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InvalidError(f"setting {key}={first.get('input')!r}: {first['msg']}; {source(key, flags)}") from None
    except ValueError as error:
        raise InvalidError(f"{Home.default().config}: {error}") from None
    if not settings.loopback and not settings.allow_remote:
        raise InvalidError(
            f"host={settings.host!r} is beyond loopback: add --allow-remote (every request then needs the token), or keep 127.0.0.1"
        )
    return settings


def source(key: str, flags: dict[str, Any]) -> str:
    """Say where the value of `key` comes from."""
    if flags.get(key) is not None:
        return "from the command line"
    if f"FREEHOLD_{key.upper()}" in os.environ:
        return f"from the environment, FREEHOLD_{key.upper()}"
    config = Home.default().config
    if config.exists() and key in config.read_text():
        return f"from {config}"
    return "the default"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
