"""Images as recipes."""

import base64
import importlib
import pickle
from pathlib import Path
from typing import Any

import pytest

import freehold
from freehold.core.digests import image_digest
from freehold.core.errors import InvalidError
from freehold.core.specs import ImageStep
from freehold.sdk.source import Bundles


def steps(image: freehold.Image) -> list[ImageStep]:
    with Bundles() as bundles:
        return list(image.spec(bundles).steps)


def args(image: freehold.Image) -> dict[str, Any]:
    return steps(image)[-1].args


def download(name: str = "small") -> str:
    return f"got {name}"


base = freehold.Image.debian_slim(python_version="3.12")


def test_steps_are_kept_in_order() -> None:
    image = (
        base.pip_install("numpy", ["pillow>=11"])
        .env({"A": "1"})
        .workdir("/srv")
        .run_commands("echo hi", "true")
        .apt_install("git")
    )
    assert [s.kind for s in steps(image)] == [
        "debian_slim",
        "pip_install",
        "env",
        "workdir",
        "run_commands",
        "apt_install",
    ]
    assert steps(image)[0].args == {"python_version": "3.12"}
    assert steps(image)[1].args == {"packages": ["numpy", "pillow>=11"]}
    assert args(image) == {"packages": ["git"]}
    assert len(steps(base)) == 1  # an image does not change


def test_pip_options_and_requirements(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# tools\nnumpy==2.0  # arrays\n\npillow\n")
    image = base.uv_pip_install(
        "torch", requirements=[file], index_url="https://x", pre=True, extra_options="--no-deps"
    )
    assert args(image) == {
        "packages": ["torch"],
        "requirements": ["numpy==2.0", "pillow"],
        "index_url": "https://x",
        "pre": True,
        "extra_options": "--no-deps",
    }
    assert args(base.pip_install_from_requirements(file))["requirements"] == ["numpy==2.0", "pillow"]
    assert len(steps(base.pip_install())) == 1


def test_pyproject_and_uv_projects(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["a"]\n[project.optional-dependencies]\nextra = ["b"]\n'
    )
    assert args(base.pip_install_from_pyproject(tmp_path / "pyproject.toml", ["extra"]))["packages"] == ["a", "b"]
    assert args(base.uv_sync(tmp_path))["lock"] is None


def test_local_files_go_along_or_into_the_image(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    later = base.add_local_file(tmp_path / "x.txt", "/srv/").add_local_dir(tmp_path, "data")
    assert [(f.remote, f.local.name) for f in later.files] == [("/srv/x.txt", "x.txt"), ("/root/data", tmp_path.name)]
    assert len(steps(later)) == 1
    with pytest.raises(InvalidError, match=r"move the step before it, or pass copy=True"):
        later.pip_install("numpy")
    copied = base.add_local_file(tmp_path / "x.txt", "/srv/x.txt", copy=True).run_commands("cat /srv/x.txt")
    with Bundles() as bundles:
        step = copied.spec(bundles).steps[1]
        assert step.args == {"digest": next(iter(bundles.tars)), "remote_path": "/srv"}
    with pytest.raises(InvalidError, match="is not here"):
        base.add_local_dir(tmp_path / "nope", "/x")
    with pytest.raises(InvalidError, match=r"may not contain '\.\.'"):
        base.add_local_file(tmp_path / "x.txt", "/srv/../etc/x")


def test_run_function_carries_its_code() -> None:
    made = args(base.run_function(download, args=("big",), secrets=[freehold.Secret.from_name("hf")], timeout=60))
    assert pickle.loads(base64.b64decode(made["serialized"]))() == "got big"
    assert (made["qualname"], made["timeout_s"]) == ("download", 60.0)
    assert made["secrets"] == [{"name": "hf", "required_keys": []}]
    volumes = args(base.run_function(download, volumes={"/models": freehold.Volume.from_name("m")}))["volumes"]
    assert volumes["/models"]["name"] == "m"
    with pytest.raises(InvalidError, match="secrets by name"):
        args(base.run_function(download, secrets=[freehold.Secret.from_dict({"A": "b"})]))
    with pytest.raises(InvalidError, match=r"without @app\.function"):
        base.run_function(freehold.App().function()(download))


def test_an_edit_above_a_function_keeps_the_image() -> None:
    def digest(lines_above: int) -> str:
        scope: dict[str, Any] = {"__name__": "job"}
        exec(compile("\n" * lines_above + "def get():\n    return [n for n in range(3)]\n", "job.py", "exec"), scope)
        with Bundles() as bundles:
            return image_digest(base.run_function(scope["get"]).spec(bundles))

    assert digest(0) == digest(7)


def test_wrong_values_are_named() -> None:
    with pytest.raises(InvalidError, match=r"python_version='three'"):
        freehold.Image.debian_slim(python_version="three")
    with pytest.raises(InvalidError, match="value of 'A' is of type int"):
        base.env({"A": 1})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidError, match="cannot read"):
        base.pip_install_from_requirements("nope.txt")


def test_imports_may_fail_here_and_are_told_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with base.imports():
        importlib.import_module("nothing_of_this_name")
    monkeypatch.setenv("FREEHOLD_REMOTE", "1")
    with pytest.warns(UserWarning, match="nothing_of_this_name"), base.imports():
        importlib.import_module("nothing_of_this_name")


def test_steps_that_need_containers_are_recipes_too() -> None:
    image = (
        freehold.Image.from_registry("nvidia/cuda:12", add_python="3.12")
        .dockerfile_commands("RUN true")
        .entrypoint([])
        .cmd(["x"])
        .shell(["/bin/sh"])
    )
    assert [s.kind for s in steps(image)] == ["from_registry", "dockerfile_commands", "entrypoint", "cmd", "shell"]
    assert [s.kind for s in steps(freehold.Image.micromamba().micromamba_install("cuda", channels=["nvidia"]))] == [
        "micromamba"
    ] * 2
