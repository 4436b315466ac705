"""`import modal` is Freehold, wherever a program of Modal's is run."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.compat.names import PUBLIC
from tests.e2e.harness import Freehold

SHIM = Path(__file__).parents[2] / "shim" / "src"


def test_a_program_that_imports_modal_runs_here_and_in_instances(server: Freehold) -> None:
    assert server.lines("run", "alias.py") == ["True ('modal', False, 2)", "True 3 True"]


def test_a_plain_script_runs_under_freehold_python(server: Freehold) -> None:
    done = server("python", "script.py", "21")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


_IN_NO_FILE = """
import modal
app = modal.App("compat-in-no-file")
@app.function()
def double(x):
    return x * 2
with app.run():
    print(double.remote(4))
"""


@pytest.mark.parametrize(("words", "stdin"), [(("-c", _IN_NO_FILE), None), (("-",), _IN_NO_FILE)])
def test_code_of_no_file_runs_under_freehold_python(
    server: Freehold, words: tuple[str, ...], stdin: str | None
) -> None:
    done = server("python", *words, stdin=stdin)
    assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr


def test_a_plain_script_runs_under_python_with_the_shim(server: Freehold) -> None:
    env = server.env | {"PYTHONPATH": f"{SHIM}:{server.env.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "script.py", "4"], env=env, cwd=server.programs, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr


def test_the_official_package_is_left_alone_when_it_is_wanted(server: Freehold, tmp_path: Path) -> None:
    (tmp_path / "modal.py").write_text("WHO = 'official'\n")
    (tmp_path / "p.py").write_text("import modal\nprint(modal.WHO)\n")
    env = server.env | {"FREEHOLD_MODAL": "official"}
    done = subprocess.run(
        server.command("python", "p.py"), env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "official\n"), done.stderr
    env["FREEHOLD_MODAL"] = "offical"
    done = subprocess.run(
        server.command("python", "p.py"), env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "'offical' is neither 'freehold' nor 'official'" in done.stderr


def test_modal_is_on_the_path_of_instances(server: Freehold) -> None:
    assert server.ok("run", "calls_cli.py") == "(True, 'freehold.sdk.app')\n"
    server.ok("volume", "delete", "compat-from-inside", "--yes")


def test_names_that_modal_gave_up_work_with_a_warning_that_shows_the_new_one(server: Freehold) -> None:
    done = server("run", "old_names.py")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["2 True", "3", "A100-80GB:2 any T4", "entered", "left"]
    for new in (
        "__enter__ is now a method under @modal.enter()",
        ".call(...) is now .remote(...)",
        "modal.App(...)",
        "min_containers=",
        "max_containers=",
        "scaledown_window=",
        "@modal.concurrent",
        "mounts= is now Image.add_local_dir(...)",
        "gpu='A100-80GB:2'",
    ):
        assert new in done.stderr, new


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_every_public_name_is_there(module: str) -> None:
    names = PUBLIC[module]
    code = (
        f"from freehold.modal import alias; alias.install(); import importlib; m = importlib.import_module({module!r})\n"
        + "".join(f"m.{name}\n" for name in names)
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_m_modal_is_the_command_line() -> None:
    shim = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SHIM), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-m", "modal", "--version"], env=shim, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout[:9]) == (0, "freehold "), done.stderr


def test_a_module_that_is_not_there_says_so() -> None:
    code = "from freehold.modal import alias; alias.install()\nimport modal.nothing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "No module named 'modal.nothing'" in done.stderr


def test_the_shim_is_what_instances_have() -> None:
    inside = Path(__file__).parents[2] / "src/freehold/modal/shim/modal/__init__.py"
    assert (SHIM / "modal/__init__.py").read_text() == inside.read_text()


def test_the_command_modal_is_freehold_for_what_a_program_runs(server: Freehold) -> None:
    version, listed, found = server.lines("run", "runs_modal.py")
    assert version == server.ok("--version").strip()
    assert listed == "1"
    assert found == f"{server.home}/bin/modal {server.home}/bin/freehold"


def test_the_official_command_is_left_alone_where_that_is_asked_for(server: Freehold) -> None:
    official = replace(server, extra=(*server.extra, ("FREEHOLD_MODAL", "official")))
    done = official("python", "-c", "import os; print(os.environ['PATH'])")
    assert (done.returncode, done.stdout.strip()) == (0, official.env["PATH"]), done.stderr


def test_a_name_that_modal_lacks_here_is_nothing_to_install(server: Freehold, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import modal.no_such_part\n")
    done = server("run", "program.py", cwd=tmp_path)
    assert done.returncode != 0
    assert "modal.no_such_part" in done.stderr
    assert "is not installed here" not in done.stderr


def test_a_module_is_the_same_whether_it_is_imported_or_not() -> None:
    code = (
        "from freehold.modal import alias; alias.install(); import modal; print(modal.exception.InternalFailure.__name__)\n"
        "import modal.exception as imported; print(imported is modal.exception, modal.exception.Error is modal.Error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["InternalError", "True True"], done.stderr
