"""Images as Modal's programs make them: what is built, what is there while it is built, and what says that it cannot be."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.harness import Freehold, MakeHome
from tests.integration.launchers import debian

WRITTEN = ["opt", "conf", "kept", "share", "tool"]  # by the steps of image_layers.py


def run(server: Freehold, program: str, *words: str) -> str:
    done = server("run", *words, program)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def api(server: Freehold, method: str, path: str) -> Any:
    request = urllib.request.Request(
        f"{server.url}/v1/images{path}", method=method, headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request) as answer:
        text = answer.read().decode()
    return [json.loads(line) for line in text.splitlines()] if path.endswith("/log") else json.loads(text or "null")


def test_functions_run_in_the_image_with_what_their_module_has(server: Freehold, tmp_path: Path) -> None:
    said = run(server, "image_run_function.py")
    assert (
        said
        == "{'arguments': 'abab!?', 'helper': 'hello', 'lambda': 'by value', 'method': 'loader', 'module': 'sqlite_fts4'}"
    )
    edited = tmp_path / "image_run_function.py"
    edited.write_text(
        (server.programs / "image_run_function.py").read_text().replace("def kept()", "# a line more\n\n\ndef kept()")
    )
    again = server("run", "image_run_function.py", cwd=tmp_path)
    assert again.stdout.strip() == said
    assert "building image" not in again.stderr
    edited.write_text((server.programs / "image_run_function.py").read_text().replace('"hello"', '"bye"'))
    changed = server("run", "image_run_function.py", cwd=tmp_path)
    assert "'helper': 'bye'" in changed.stdout
    assert "building image" in changed.stderr


def test_imports_fail_only_where_their_own_image_lacks_them(server: Freehold) -> None:
    said = run(server, "image_imports.py").splitlines()
    assert said[0] == "sqlite_fts4 false"
    assert said[-1] == "StartError True"


def test_steps_have_secrets_variables_and_volumes_of_their_own(server: Freehold) -> None:
    done = server("run", "image_steps.py")
    assert done.stdout.strip() == "['a tool of ours', 'built', '/srv', '/srv', 'yes', False, False]", done.stderr
    assert "*** is secret" in done.stderr
    assert "hush-hush" not in done.stdout + done.stderr


def test_a_failed_step_is_told_once_with_its_last_lines(server: Freehold) -> None:
    for words in (("run", "-q"), ("deploy",)):
        done = server(*words, "image_fails.py")
        assert done.returncode == 1
        assert (
            "error: step 2 of 3, run_commands 'echo looking; ls /nowhere-at-all': failed with exit code 2\n"
            in done.stderr
        )
        assert done.stderr.count("No such file or directory") == 1
        assert "Traceback" not in done.stderr


def test_an_image_is_built_published_and_found_again(server: Freehold) -> None:
    done = server("python", "image_build.py")
    assert done.returncode == 0, done.stderr
    *read, image = done.stdout.split()
    assert read == ["first", "first"]
    shown = api(server, "GET", f"/{image}")
    assert (shown["state"], shown["names"], shown["steps"][1]) == (
        "ready",
        ["image-build:v1"],
        "run_commands(commands=['echo first > /root/first'])",
    )
    assert any(line["log"].startswith("==> step 1 of 1: run_commands") for line in api(server, "GET", f"/{image}/log"))
    api(server, "DELETE", f"/{image}")
    assert shown["digest"] not in [one["digest"] for one in api(server, "GET", "")]


def test_force_build_builds_anew_in_each_run_and_once_in_it(server: Freehold) -> None:
    first, second = (run(server, "image_forced.py", "-q").split() for _ in range(2))
    assert first[0] == first[1]
    assert second[0] == second[1]
    assert first[0] != second[0]


def test_every_kind_of_image_is_planned(make_home: MakeHome) -> None:
    done = make_home()("plan", "image_surface.py", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["images"]) == 9


def test_what_needs_a_container_says_so(server: Freehold) -> None:
    done = server("run", "-q", "image_cuda.py")
    assert done.returncode == 1
    assert re.search(r"error: .*from_registry\('pytorch/pytorch.*needs the container launcher", done.stderr)


@pytest.mark.slow
def test_another_python_builds_and_runs(server: Freehold) -> None:
    done = server("run", "image_python.py")
    if "is not on this machine" in done.stderr:
        pytest.skip("one Python only on this machine")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True ")
    assert "stands in for it" in done.stderr


def _layers(server: Freehold) -> None:
    why = server.json("status")["guards"]["image_layers"]
    if why != "ok":
        pytest.skip(why)


def test_what_steps_write_anywhere_is_in_the_image(server: Freehold) -> None:
    _layers(server)
    assert run(server, "image_layers.py").splitlines() == [
        f"INSIDE {[*WRITTEN, '/opt/layers', 'a.txt', 'laid', 'volume', 'x', 'changed']}",
        "OUTSIDE ['mine']",
        "HERE []",
    ]


@pytest.mark.usefixtures("jailed")
def test_what_steps_write_anywhere_is_in_sandboxes_too(server: Freehold) -> None:
    assert f"SANDBOX {WRITTEN}" in run(server, "image_layers.py::held").splitlines()  # its own lines are shown too


def test_debian_packages_are_installed_into_an_image(server: Freehold, tmp_path: Path) -> None:
    _layers(server)
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("not a Debian")
    name = f"freehold-test-{secrets.token_hex(4)}"
    debian.repository(tmp_path, name, "echo made > /etc/made-by-script")
    text = (server.programs / "image_apt.py").read_text()
    (tmp_path / "image_apt.py").write_text(text.replace("the-package", name))
    done = server("run", "image_apt.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"made\n{name} 1.2\n"), done.stderr
    assert shutil.which(name) is None
    assert "built in" not in server("run", "image_apt.py", cwd=tmp_path).stderr


def _lacking(server: Freehold, folder: Path) -> str:
    """Put the program into `folder`, with a package that no image was built with."""
    name = f"no-such-package-{secrets.token_hex(4)}"
    text = (server.programs / "lacks_apt.py").read_text()
    (folder / "lacks_apt.py").write_text(text.replace("no-such-package-of-freehold", name))
    return name


def test_builds_go_on_without_debian_packages_where_that_is_asked_for(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home()
    (tmp_path / "concurrent.py").write_text("raise SystemExit('not the one of the standard library')\n")
    lacking = _lacking(home, tmp_path)
    done = replace(home, home=Path(os.path.relpath(home.home, tmp_path)))(
        "up", "--detach", "--missing-apt", "warn", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert Path(f"/proc/{home.json('status')['pid']}/cwd").readlink() == Path("/")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "freehold.cli.main", "run", "lacks_apt.py"], env=home.env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "works\n"), done.stderr
    assert re.search(rf"warning: .*{lacking}.*: what uses them fails", done.stderr)
    home.ok("down")


def test_a_build_that_lacks_debian_packages_names_every_way_out(server: Freehold, tmp_path: Path) -> None:
    lacking = _lacking(server, tmp_path)
    done = server("run", "lacks_apt.py", cwd=tmp_path)
    assert done.returncode != 0
    for way in (f"apt-get install {lacking}", "--host-apt", "--missing-apt warn"):
        assert way in done.stderr
