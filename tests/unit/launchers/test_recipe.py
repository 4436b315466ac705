"""Recipes as commands, and the choice of an interpreter."""

from pathlib import Path
from typing import Any

import pytest

from freehold.core.errors import ImageBuildError
from freehold.core.specs import ImageSpec, ImageStep
from freehold.launchers.process import interpreters
from freehold.launchers.process.interpreters import Interpreter
from freehold.launchers.process.recipe import Recipe, read, runner_requirements


def recipe(*steps: tuple[str, dict[str, Any]]) -> Recipe:
    return read(ImageSpec(steps=tuple(ImageStep(kind=k, args=a) for k, a in steps)))  # type: ignore[arg-type]


def test_pip_arguments() -> None:
    made = recipe(("uv_pip_install", {
        "packages": ["torch==2.13.0", "numpy"], "index_url": "https://a", "extra_index_url": "https://b", "pre": True,
        "extra_options": "--no-deps --no-build", "find_links": "/wheels",
    }))  # fmt: skip
    (command,) = made.commands
    assert command.pip == (
        "--index-url", "https://a", "--find-links", "/wheels", "--extra-index-url", "https://b", "--prerelease=allow",
        "--no-deps", "--no-build", "torch==2.13.0", "numpy",
    )  # fmt: skip
    assert command.title == "uv_pip_install torch==2.13.0 numpy"


def test_env_and_workdir_hold_for_later_steps_and_for_instances() -> None:
    made = recipe(
        ("run_commands", {"commands": ["one"]}),
        ("env", {"vars": {"A": "1"}}),
        ("workdir", {"path": "/srv"}),
        ("run_commands", {"commands": ["two", "three"]}),
    )
    assert [(c.env, c.workdir) for c in made.commands] == [({}, None), ({"A": "1"}, "/srv"), ({"A": "1"}, "/srv")]
    assert (made.env, made.workdir) == ({"A": "1"}, "/srv")


def test_what_only_a_container_gives() -> None:
    with pytest.raises(ImageBuildError, match=r"Image.from_registry\('cuda'\).*container launcher"):
        recipe(("from_registry", {"tag": "cuda"}))


def test_apt_packages_are_words() -> None:
    assert recipe(("apt_install", {"packages": ["git ffmpeg", "curl"]})).commands[0].apt == ("git", "ffmpeg", "curl")


def test_the_runner_is_pinned_to_what_runs_here() -> None:
    assert all("==" in r for r in runner_requirements())


HAVE = [Interpreter(11, 7, Path("/p11")), Interpreter(12, 1, Path("/p12")), Interpreter(13, 0, Path("/p13"))]


@pytest.mark.parametrize(("version", "minor", "warns"), [
    (None, 11, False), ("3.12", 12, False), ("3.12.4", 12, False), ("3.14", 13, True), ("3.9", 11, True),
])  # fmt: skip
def test_the_nearest_interpreter(version: str | None, minor: int, warns: bool) -> None:
    chosen, warning = interpreters.choose(version, HAVE)
    assert chosen.minor == minor
    assert bool(warning) is warns


def test_a_version_that_is_none() -> None:
    with pytest.raises(ImageBuildError, match="banana"):
        interpreters.choose("banana", HAVE)


def test_pyenv_interpreters_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.12.1", "3.12.10", "2.7.18", "3.8.1"):
        binary = tmp_path / "versions" / version / "bin/python3"
        binary.parent.mkdir(parents=True)
        binary.touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    found = {i.minor: i for i in interpreters.find()}
    assert found[12].patch == 10
    assert 8 not in found
