"""Recipes as commands, and the choice of an interpreter."""

from typing import Any

import pytest

from freehold.core.errors import ImageBuildError
from freehold.core.specs import ImageSpec, ImageStep
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
