"""Which local files go along, and what is said of those that do not."""

from pathlib import Path

from tests.e2e.harness import Freehold

BESIDE = Path(__file__).parent / "programs" / "beside"


def test_a_module_that_only_a_function_imports_is_named_with_the_fix(server: Freehold) -> None:
    done = server("run", "imports_late.py", cwd=BESIDE)
    assert done.returncode == 1
    assert "image.add_local_python_source('neighbour_of')" in done.stderr
    assert "No module named 'neighbour_of'" in done.stderr
    assert done.stderr.count("does not go along") == 1


def test_with_that_fix_it_runs(server: Freehold) -> None:
    done = server("run", "imports_along.py", cwd=BESIDE)
    assert (done.returncode, done.stdout) == (0, '["a", "b"]\n'), done.stderr
    assert "does not go along" not in done.stderr


def test_functions_of_an_included_app_keep_its_image_and_secrets(server: Freehold) -> None:
    done = server("run", "includes.py")
    assert (done.returncode, done.stdout) == (0, "('inner', False) ('outer', True)\n"), done.stderr


def test_a_module_of_a_folder_without_init_brings_the_folders_python_files(server: Freehold) -> None:
    done = server("run", "-m", "space.module")
    said = "('space.module', 'blue', 'blue', 2, ['alone.py', 'constants.py', 'module.py'])\n"
    assert (done.returncode, done.stdout) == (0, said), done.stderr


def test_a_file_of_such_a_folder_that_is_run_by_its_path_stays_alone(server: Freehold) -> None:
    done = server("run", "space/alone.py")
    assert (done.returncode, done.stdout) == (0, "('alone', ['alone.py'])\n"), done.stderr


def test_what_is_stored_is_used_as_an_instance_loads_the_program(server: Freehold) -> None:
    assert server.ok("run", "-q", "at_top.py") == "(['instance', 'local'], 'ap-')\n"


def test_an_instance_that_would_run_its_app_once_more_says_where_that_belongs(server: Freehold) -> None:
    said = server.ok("python", "runs_at_top.py")
    assert 'put it under `if __name__ == "__main__":`' in said
