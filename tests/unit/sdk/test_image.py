"""Images as recipes."""

import base64
import importlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import freehold
from freehold.core.digests import image_digest
from freehold.core.errors import Error, InvalidError
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
    assert args(base.uv_sync(tmp_path, extra_options="--no-dev"))["extra_options"] == "--no-dev"


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
    given = args(base.run_function(download, secrets=[freehold.Secret.from_dict({"A": "b"})]))
    assert given["secrets"] == [{"values": {"A": "b"}}]  # which the server seals
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


_WRONG_STEPS: list[tuple[Callable[[Any], object], str]] = [
    (lambda image: image.pip_install(["a", 3]), "Image.pip_install: 3 is not a text"),
    (lambda image: image.uv_pip_install(""), "Image.uv_pip_install: '' is not a text"),
    (lambda image: image.pip_install("a", index_url=3), "Image.pip_install: index_url: 3 is not a text"),
    (
        lambda image: image.pip_install("a", index="x"),
        "Image.pip_install has no option 'index'; did you mean 'index_url'",
    ),
    (
        lambda image: image.pip_install("a", secrets=[freehold.Secret.from_name("s")]),
        "secrets= is not supported here; .*run_function",
    ),
    (lambda image: image.apt_install(3), "Image.apt_install: 3 is not a text"),
    (lambda image: image.run_commands(["ls", None]), "Image.run_commands: None is not a text"),
    (lambda image: image.run_commands("ls", shell=True), "Image.run_commands has no option 'shell'"),
    (lambda image: image.uv_sync(only="dev"), "Image.uv_sync has no option 'only'"),
    (lambda image: image.from_registry("x", python="3.12"), "Image.from_registry has no option 'python'"),
    (lambda image: image.env("A=1"), "Image.env: str is not a dict"),
    (lambda image: image.env({"A": 1}), "the value of 'A' is of type int"),
    (lambda image: image.workdir(3), "Image.workdir: 3 is not a text"),
    (lambda image: image.entrypoint("run it"), r"give a list of words, such as \['run', 'it'\]"),
    (lambda image: image.run_function(download, timeout=0), "timeout=0 is not a number of seconds"),
    (lambda image: image.run_function(download, secrets=["x"]), "secrets='x' is not a list of freehold.Secret"),
    (
        lambda image: image.run_function(download, volumes={"data": freehold.Volume.from_name("d")}),
        "cannot be mounted at 'data'",
    ),
    (lambda image: image.run_function(download, times=3), "has no option 'times'"),
    (lambda image: image.add_local_file(Path(__file__).parent, "/x"), "is a folder: use add_local_dir"),
    (lambda image: image.add_local_dir(__file__, "/x"), "is a file: use add_local_file"),
    (lambda image: image.add_local_file(3, "/x"), "3 is not a path"),
    (lambda image: image.add_local_python_source(3), "3 is not a text"),
    (lambda image: image.debian_slim(3.1), "3.10 is 3.1: write it in quotes"),
    (lambda image: image.from_registry(""), "Image.from_registry: '' is not a text"),
]


@pytest.mark.parametrize(("make", "message"), _WRONG_STEPS)
def test_what_a_step_cannot_be_is_named(make: Callable[[Any], object], message: str) -> None:
    with pytest.raises(Error, match=message):
        make(base)
