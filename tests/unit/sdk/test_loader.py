"""Programs found by reference, and their failures told without our own frames."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import freehold
from freehold.core.errors import InvalidError, NotFoundError, StartError
from freehold.sdk.entrypoint import Entrypoint
from freehold.sdk.loader import load_ref
from freehold.sdk.source import Bundles

PROGRAM = """
import freehold
app = freehold.App("job")

@app.function()
def work(n: int) -> int:
    return n

@app.cls()
class Model:
    @freehold.method()
    def predict(self, n: int) -> int:
        return n

@app.local_entrypoint()
def main(n: int = 1):
    return n + 1
"""


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


def test_the_only_entrypoint_is_meant() -> None:
    loaded = load_ref(write("job_a.py", PROGRAM))
    assert isinstance(loaded.target, Entrypoint)
    assert loaded.target.run(n=4) == 5
    assert loaded.app.name == "job"
    assert loaded.module.__name__ == "job_a"


@pytest.mark.parametrize("name", ["work", "Model.predict", "main"])
def test_things_by_name(name: str) -> None:
    loaded = load_ref(f"{write('job_b.py', PROGRAM)}::{name}")
    assert loaded.target is not None
    assert loaded.target.name == name


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match=r"no entrypoint or function 'nope': it has main, work, Model.predict"):
        load_ref(f"{write('job_c.py', PROGRAM)}::nope")
    with pytest.raises(NotFoundError, match=r"'missing\.py' is not a file here"):
        load_ref("missing.py")
    with pytest.raises(NotFoundError, match=r"no module 'pkg_missing\.x'"):
        load_ref("pkg_missing.x", module=True)


def test_several_functions_and_no_entrypoint_leave_a_choice() -> None:
    loaded = load_ref(write("job_d.py", PROGRAM.split("@app.local_entrypoint", maxsplit=1)[0]))
    assert loaded.target is None
    assert loaded.choices == ("work", "Model.predict")


def test_what_is_served_is_no_choice_beside_what_is_run() -> None:
    served = """
@app.function()
@freehold.fastapi_endpoint()
def web() -> int:
    return 1
"""
    head = PROGRAM.partition("@app.cls")[0]
    target = load_ref(write("job_i.py", head + served)).target
    assert target is not None
    assert target.name == "work"
    alone = load_ref(write("job_j.py", head.partition("@app.function")[0] + served)).target
    assert alone is not None
    assert alone.name == "web"


def test_apps_are_found() -> None:
    two = "import freehold\none = freehold.App('one')\ntwo = freehold.App('two')\n"
    with pytest.raises(InvalidError, match=r"several Apps \(one, two\)"):
        load_ref(write("job_e.py", two))
    assert load_ref("job_e.py::two").app.name == "two"
    started = f"{two}\n@two.local_entrypoint()\ndef main() -> None: ...\n"
    assert load_ref(write("job_h.py", started)).app.name == "two"
    with pytest.raises(NotFoundError, match="has no App"):
        load_ref(write("job_f.py", "x = 1"))


def test_packages_keep_their_names() -> None:
    write("pack_g/__init__.py", "")
    write("pack_g/other.py", "VALUE = 3")
    write("pack_g/job.py", "from pack_g.other import VALUE\nfrom .other import VALUE as again\n" + PROGRAM)
    assert load_ref("pack_g/job.py").module.__name__ == "pack_g.job"
    assert load_ref("pack_g.job", module=True).module is load_ref("pack_g/job.py").module


def test_a_failing_program_is_told_without_our_frames() -> None:
    with pytest.raises(StartError) as caught:
        load_ref(write("job_h.py", "def go():\n    return 1 / 0\ngo()\n"))
    text = str(caught.value)
    assert text.startswith("job_h.py cannot be loaded:\nTraceback (most recent call last):")
    assert text.endswith("ZeroDivisionError: division by zero")
    assert "freehold/sdk" not in text
    assert "importlib" not in text
    assert "job_h" not in sys.modules


def test_a_syntax_error_is_told_with_its_line() -> None:
    with pytest.raises(StartError) as caught:
        load_ref(write("job_i.py", "x = 1\ndef broken(:\n"))
    text = str(caught.value)
    assert 'job_i.py", line 2' in text
    assert "def broken(:" in text
    assert "Traceback" not in text


def test_a_missing_module_is_told_with_its_fix() -> None:
    with pytest.raises(StartError, match=r"'torch_of_nowhere' is not installed here.*image.imports\(\)"):
        load_ref(write("job_j.py", "import torch_of_nowhere\n"))


def test_a_module_that_would_be_missed_is_named() -> None:
    write("helper_l.py", "VALUE = 1")
    loaded = load_ref(write("job_l.py", "import helper_l\n" + PROGRAM))
    with Bundles() as bundles:
        with pytest.warns(UserWarning, match=r"'helper_l' lies beside.*add_local_python_source\('helper_l'\)"):
            loaded.app.spec(bundles)
        along = freehold.Image.debian_slim().add_local_python_source("helper_l")
        loaded.app._image = along
        loaded.app.spec(bundles)


def test_a_plain_script_is_known_by_its_name(tmp_path: Path) -> None:
    program = PROGRAM + (
        "from freehold.sdk.app import _alias_main\n"
        "from freehold.sdk.source import Bundles\n"
        "with Bundles() as b:\n    spec = app.spec(b)\n"
        "_alias_main()\nimport job_k\n"
        "print([(f.module, f.qualname) for f in spec.functions], job_k.app is app, app.main, spec.functions[0].mounts[0].remote_path)\n"
    )
    write("job_k.py", program)
    done = subprocess.run([sys.executable, "job_k.py"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[('job_k', 'work'), ('job_k', 'Model')] True job_k /root", done.stderr


@pytest.mark.parametrize("name", ["app.work", "app.main", "app.Model.predict"])
def test_a_name_may_begin_with_its_app(name: str) -> None:
    loaded = load_ref(f"{write('job_m.py', PROGRAM)}::{name}")
    assert loaded.target is not None
    assert loaded.target.name == name.removeprefix("app.")


def test_a_class_with_one_method_stands_for_it() -> None:
    target = load_ref(f"{write('job_n.py', PROGRAM)}::Model").target
    assert target is not None
    assert target.name == "Model.predict"


@pytest.mark.parametrize("name", ["secrets.py", "dotted.name.py"])
def test_a_file_may_be_named_as_it_likes(name: str) -> None:
    import secrets

    loaded = load_ref(write(name, PROGRAM))
    with Bundles() as bundles:
        spec = loaded.app.spec(bundles)
    assert spec.functions[0].module == loaded.module.__name__ != Path(name).stem
    assert sys.modules["secrets"] is secrets


def test_a_wrong_declaration_is_a_wrong_program_at_its_line() -> None:
    program = write("job_wrong.py", "import freehold\napp = freehold.App()\n\n@app.function(cpu=-1)\ndef f(): ...\n")
    with pytest.raises(InvalidError, match="cpu=-1 is neither") as caught:
        load_ref(program)
    assert "@app.function(cpu=-1)" in str(caught.value)
    assert "job_wrong.py" in str(caught.value)
