"""Programs as people write them, through the real command line and from plain Python."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.harness import PROGRAMS, Freehold


def python(server: Freehold, *words: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, *words], env=server.env, input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_without_a_file_runs(server: Freehold) -> None:
    assert python(server, "-", stdin=(PROGRAMS / "notebook.py").read_text()) == "too far: (99,)\n"


def test_output_is_shown_as_it_was_written(server: Freehold) -> None:
    done = subprocess.run(
        server.command("run", "-q", "verbatim.py"), env=server.env, cwd=PROGRAMS, capture_output=True, check=True
    )
    long = json.dumps({"long": "v" * 100_000})
    assert done.stdout.decode() == f".....\n{long}\na\n\nb\n10%\r20%\n\rstep 1\rstep 2\n한글 🎉"


@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("app.add", ["--a", "1"], "2"),
        ("Scale", ["--n", "3"], "6"),
        ("Scale.apply", ["--n", "3", "--by", "5"], "15"),
        ("app.Scale.apply", ["--by", "7", "--n", "3"], "21"),
    ],
)
def test_what_is_named_runs(server: Freehold, name: str, options: list[str], shown: str) -> None:
    assert server.ok("run", "-q", f"counted.py::{name}", *options) == f"{shown}\n"


def test_a_program_may_have_the_name_of_a_standard_module(server: Freehold, tmp_path: Path) -> None:
    program = tmp_path / "secrets.py"
    program.write_text((PROGRAMS / "counted.py").read_text())
    assert server.ok("run", "-q", f"{program}::add", "--a", "1") == "2\n"


def test_apps_find_each_other_by_name_and_large_results_stay(server: Freehold) -> None:
    server.ok("deploy", "counted.py")
    server.ok("deploy", "neighbour.py")
    first = (
        "import freehold\n"
        "print(freehold.Function.from_name('e2e-neighbour', 'ask').remote())\n"
        "call = freehold.Function.from_name('e2e-neighbour', 'large').spawn()\n"
        "assert len(call.get()['beside it']) == 6_000_000\n"
        "print(call.object_id)\n"
    )
    answer, call = python(server, "-c", first).split()
    assert answer == "5", "the function of another app was taken for one's own"
    again = f"import freehold; print({{k: len(v) for k, v in freehold.FunctionCall.from_id({call!r}).get().items()}})"
    assert python(server, "-c", again) == "{'in the pickle': 6000000, 'beside it': 6000000}\n"
    wrong = (
        "import freehold\n"
        "for of in ({'by': 'x'}, {'bye': 1}):\n"
        "    try: freehold.Cls.from_name('e2e-counted', 'Scale')(**of).apply\n"
        "    except freehold.exception.InvalidError as error: print(error)\n"
    )
    said = python(server, "-c", wrong)
    assert "the parameter is of type int, not str" in said
    assert "no such parameter; it has by" in said
    server.ok("app", "stop", "-y", "e2e-neighbour")
    server.ok("app", "stop", "-y", "e2e-counted")
