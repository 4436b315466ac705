"""How named objects were made before `from_name`."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from freehold.core.errors import DeprecationError
from freehold.sdk.dict import Dict
from freehold.sdk.network_file_system import NetworkFileSystem
from freehold.sdk.queue import Queue
from freehold.sdk.volume import Volume

PROGRAM = "from freehold import Dict\n\n\nshared = Dict.new()\nother = Dict.new()\n"


@pytest.mark.filterwarnings("ignore:NetworkFileSystem is given up")
@pytest.mark.parametrize("kind", [Dict, Queue, Volume, NetworkFileSystem])
def test_persisted_is_from_name(kind: Any) -> None:
    with pytest.warns(DeprecationError, match=rf"{kind.__name__}\.from_name\('models', create_if_missing=True\)"):
        made = kind.persisted("models")
    assert getattr(made, "volume", made).name == "models"


def test_what_new_makes_is_the_same_wherever_the_program_is_loaded_until_it_changes(tmp_path: Path) -> None:
    here, there, changed = (
        _names(tmp_path / folder, PROGRAM + more) for folder, more in (("a", ""), ("b", ""), ("c", "#"))
    )
    assert here == there
    assert here[0] != here[1]
    assert not set(here) & set(changed)
    assert all(name and name.startswith("program-") for name in here)


def _names(folder: Path, text: str) -> list[str | None]:
    folder.mkdir()
    file = folder / "program.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("program", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.warns(DeprecationError, match=r"Dict\.new\(\) is now"):
        spec.loader.exec_module(module)
    return [module.shared.name, module.other.name]
