"""Profiles: servers by name, each with its token, in `profiles.toml` of the home. `local` is the home's own server."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from freehold.core.errors import InvalidError, NotFoundError
from freehold.core.home import Home, make_private
from freehold.core.names import check_name
from freehold.core.suggest import did_you_mean

LOCAL = "local"
VARIABLE = "FREEHOLD_PROFILE"


@dataclass(frozen=True, kw_only=True)
class Profile:
    name: str
    server: str = ""  # URL; "": the home's own
    token: str = ""


@dataclass(kw_only=True)
class Profiles:
    """What the file holds; `save` writes it."""

    path: Path
    active: str = LOCAL
    others: dict[str, Profile] = field(default_factory=dict[str, Profile])

    @property
    def all(self) -> list[Profile]:
        return [Profile(name=LOCAL), *self.others.values()]

    def get(self, name: str) -> Profile:
        """Raises NotFoundError for one that is not there."""
        found = next((p for p in self.all if p.name == name), None)
        if found is None:
            names = [p.name for p in self.all]
            hint = did_you_mean(name, names) or f"; there are {', '.join(names)}"
            msg = f"no profile {name!r}{hint}; make one with `freehold token set --profile {name} --server URL`"
            raise NotFoundError(msg)
        return found

    def put(self, profile: Profile) -> None:
        if check_name(profile.name, "a profile") == LOCAL:
            msg = f"profile {LOCAL!r} is the server of this home: give another name"
            raise InvalidError(msg)
        self.others[profile.name] = profile

    def save(self) -> None:
        """Write the file, for its owner alone, whole or not at all."""
        lines = [f"active = {json.dumps(self.active)}"]
        for one in self.others.values():
            lines += [
                "",
                f"[profiles.{json.dumps(one.name)}]",
                f"server = {json.dumps(one.server)}",
                f"token = {json.dumps(one.token)}",
            ]
        make_private(self.path.parent)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join([*lines, ""]))
        draft.replace(self.path)


def load(home: Home) -> Profiles:
    """The profiles of a home; InvalidError for a file that is not as it has to be."""
    path = home.root / "profiles.toml"
    if not path.exists():
        return Profiles(path=path)
    import tomllib

    try:
        found = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path} cannot be read as TOML: {error}; mend it, or remove it and run `freehold token set` again"
        raise InvalidError(msg) from None
    rows = cast("dict[str, dict[str, Any]]", found.get("profiles", {}))
    others = {
        n: Profile(name=n, server=str(r.get("server", "")), token=str(r.get("token", ""))) for n, r in rows.items()
    }
    return Profiles(path=path, active=str(found.get("active", LOCAL)), others=others)


def chosen(home: Home) -> Profile:
    """The one that FREEHOLD_PROFILE names, else the active one."""
    profiles = load(home)
    return profiles.get(os.environ.get(VARIABLE) or profiles.active)
