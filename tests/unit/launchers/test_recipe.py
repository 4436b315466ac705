"""Recipes as commands: what each step becomes, and what only a container can give."""

from typing import Any

import pytest

from freehold.core.errors import ImageBuildError
from freehold.core.specs import ImageSpec, ImageStep
from freehold.launchers.process.commands import Apt, Call, Command, Copy, Host, Pip, Plan, Shell, over
from freehold.launchers.process.recipe import read, runner_requirements


def plan(*steps: tuple[str, dict[str, Any]], host: Host | None = None) -> Plan:
    return read(ImageSpec(steps=tuple(ImageStep(kind=k, args=a) for k, a in steps)), host)  # type: ignore[arg-type]


def only(*steps: tuple[str, dict[str, Any]]) -> Command:
    (command,) = plan(*steps).commands
    return command


def test_pip_arguments() -> None:
    command = only(("uv_pip_install", {
        "packages": ["torch==2.13.0", "numpy"], "index_url": "https://a", "extra_index_url": "https://b", "pre": True,
        "extra_options": "--no-deps --no-build", "find_links": "/wheels",
    }))  # fmt: skip
    assert command.work == Pip(arguments=(
        "--index-url", "https://a", "--find-links", "/wheels", "--extra-index-url", "https://b", "--prerelease=allow",
        "--no-deps", "--no-build", "torch==2.13.0", "numpy",
    ))  # fmt: skip
    assert command.title == "uv_pip_install torch==2.13.0 numpy"


def test_variables_of_packages_and_indexes_are_filled_in_from_a_file() -> None:
    command = only(("pip_install", {
        "packages": ["git+https://me:${TOKEN}@github.com/a/b"], "requirements": ["x"], "extra_index_url": "https://$USER:$WORD@a", "extra_options": "-U",
    }))  # fmt: skip
    assert command.work == Pip(
        arguments=("-U",),
        requirements=("--extra-index-url https://${USER}:${WORD}@a", "git+https://me:${TOKEN}@github.com/a/b", "x"),
    )


def test_env_and_workdir_hold_for_later_steps_and_for_instances() -> None:
    made = plan(
        ("run_commands", {"commands": ["one"]}),
        ("env", {"vars": {"A": "1"}}),
        ("workdir", {"path": "/srv"}),
        ("run_commands", {"commands": ["two", "three"]}),
        ("workdir", {"path": "below"}),
    )
    assert [(c.env, c.workdir) for c in made.commands] == [({}, None), ({"A": "1"}, "/srv"), ({"A": "1"}, "/srv")]
    assert (made.env, made.workdir) == ({"A": "1"}, "/srv/below")


def test_what_a_step_is_given_is_its_own() -> None:
    given = {"env": {"B": "2"}, "secrets": [{"name": "s"}], "volumes": {"/v": {"name": "v"}}}
    made = plan(("run_commands", {"commands": ["one"]} | given), ("run_commands", {"commands": ["two"]}))
    first, second = made.commands
    assert (first.env, first.secrets, first.volumes) == ({"B": "2"}, ({"name": "s"},), {"/v": {"name": "v"}})
    assert (second.env, second.secrets, second.volumes, made.env) == ({}, (), {}, {})


@pytest.mark.parametrize(("kind", "args", "message"), [
    ("from_registry", {"tag": "pytorch/pytorch:2"}, r"step 1 of 1.*from_registry\('pytorch/pytorch:2'\).*container launcher"),
    ("from_registry", {"tag": "python:3.12", "registry": "aws"}, "private registry.*container launcher"),
    ("from_scratch", {}, "Image.from_scratch.*container launcher"),
    ("micromamba_install", {"packages": ["cuda"]}, r"micromamba_install\('cuda'\).*container launcher"),
    ("from_id", {"id": "im-1"}, "no such image"),
    ("dockerfile_commands", {"commands": ["ONBUILD RUN x"]}, r"ONBUILD 'RUN x' \(line 1\).*container launcher"),
])  # fmt: skip
def test_what_only_a_container_gives(kind: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageBuildError, match=message):
        plan((kind, args))


def test_base_images_that_are_a_system_and_a_python() -> None:
    made = plan(("from_registry", {"tag": "python:3.11-slim", "setup_dockerfile_commands": ["ENV A=1", "RUN true"]}))
    assert (made.python, made.env, len(made.commands)) == ("3.11", {"A": "1"}, 1)
    assert "this machine's own system stands in for it, with Python 3.11" in made.notes[0]


def test_apt_packages_are_words_and_are_found_in_shell_commands() -> None:
    assert only(("apt_install", {"packages": ["git ffmpeg", "curl"]})).work == Apt(packages=("git", "ffmpeg", "curl"))
    made = plan(("run_commands", {"commands": ["apt-get update", "apt-get install -y git && git --version"]}))
    sh = ("/bin/sh", "-ec")
    assert [c.work for c in made.commands] == [
        Apt(packages=(), written=(*sh, "apt-get update")),
        Apt(packages=("git",), written=(*sh, "apt-get install -y git && git --version"), rest=(*sh, "git --version")),
    ]


def test_a_shell_of_ones_own() -> None:
    made = plan(("shell", {"commands": ["/bin/bash", "-c"]}), ("run_commands", {"commands": ["echo x"]}))
    assert made.commands[0].work == Shell(("/bin/bash", "-c", "echo x"))


def test_functions_and_files() -> None:
    step = ImageStep(
        kind="run_function", args={"module": "m", "qualname": "f", "code": "1"}, beside={"timeout_s": 5.0, "mounts": []}
    )
    (command,) = read(ImageSpec(steps=(step,))).commands
    assert command.work == Call({"module": "m", "qualname": "f", "code": "1", "timeout_s": 5.0, "mounts": []})
    assert (command.title, command.timeout_s) == ("run_function 'f'", 5.0)
    assert only(("add_local", {"digest": "d", "remote_path": "/x"})).work == Copy(digest="d", remote="/x")


def test_an_entrypoint_is_told_of() -> None:
    assert plan(("entrypoint", {"commands": []}), ("cmd", {"commands": ["x"]})).notes == []
    assert "not run" in plan(("entrypoint", {"commands": ["serve"]})).notes[0]


def test_long_titles_are_cut() -> None:
    title = only(("run_commands", {"commands": ["x" * 5000]})).title
    assert title.startswith("run_commands 'xxx")
    assert len(title) < 300


def test_the_runner_is_pinned_to_what_runs_here() -> None:
    assert {r for r in runner_requirements() if "==" not in r} <= {"setuptools<81", "wheel"}


def test_a_path_goes_on_with_the_one_before_it() -> None:
    made = plan(
        ("env", {"vars": {"PATH": "/root/.local/bin:$PATH", "PRICE": "5$ or $MORE"}}),
        ("env", {"vars": {"PATH": "/opt/tool/bin:${PATH}", "AGAIN": "$PRICE!"}}),
        ("dockerfile_commands", {"commands": ["ENV PATH=$PATH:/last"]}),
    )
    assert over({"PATH": "/usr/bin", "A": "1"}, made.env) == {
        "PATH": "/opt/tool/bin:/root/.local/bin:/usr/bin:/last",
        "PRICE": "5$ or $MORE",
        "AGAIN": "5$ or $MORE!",
        "A": "1",
    }
    assert plan(("dockerfile_commands", {"commands": ["ENV PATH=/only/here"]})).env == {"PATH": "/only/here"}
