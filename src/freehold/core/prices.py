"""What an hour of cores, memory and accelerators costs: one file of the package, and the rows that a user puts over it."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from freehold.core.devices import parse_gpu
from freehold.core.errors import InvalidError
from freehold.core.home import Home
from freehold.core.placement import cpu_of, memory_of
from freehold.core.specs import Resources

_OURS = Path(__file__).with_name("prices.toml")
_KEYS = ("core", "gib", "gpu")


@dataclass(frozen=True, kw_only=True)
class Prices:
    """US dollars an hour: of a core, of a GiB of memory, of an accelerator by its type."""

    core: float
    gib: float
    gpu: dict[str, float] = field(default_factory=dict[str, float])

    def hour(self, resources: Resources) -> float | None:
        """What an hour of one instance costs, by its first choice of accelerator; None when that has no price."""
        total = cpu_of(resources) * self.core + memory_of(resources) / 1024 * self.gib
        if not resources.gpu:
            return total
        wanted = parse_gpu(resources.gpu[0])
        each = self.gpu.get(wanted.type)
        return None if each is None else total + each * wanted.count


def load(home: Home) -> Prices:
    """Ours, with the rows of `prices.toml` in the home over them. Raises InvalidError when that file is not as it has to be."""
    rows = _read(_OURS)
    own = home.root / "prices.toml"
    if own.is_file():
        theirs = _read(own)
        rows |= {**theirs, "gpu": rows["gpu"] | theirs.get("gpu", {})}
    return Prices(core=rows["core"], gib=rows["gib"], gpu=rows["gpu"])


def _read(path: Path) -> dict[str, Any]:
    try:
        rows = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path} cannot be read as TOML: {error}"
        raise InvalidError(msg) from None
    for key, value in rows.items():
        table = cast("dict[str, Any]", value) if key == "gpu" and isinstance(value, dict) else {key: value}
        wrong = next((k for k, v in table.items() if not _is_price(v)), None)
        if key not in _KEYS or wrong is not None:
            msg = f"{path}: {wrong or key} is no price: write core = 0.19, gib = 0.008, or a number for a type under [gpu]"
            raise InvalidError(msg)
    return rows | ({"gpu": {k.upper(): v for k, v in rows["gpu"].items()}} if "gpu" in rows else {})


def _is_price(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
