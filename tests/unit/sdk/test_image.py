"""Images as recipes."""

import base64
import importlib
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import freehold
from freehold.core.digests import image_digest
from freehold.core.errors import DeprecationError, Error, InvalidError, NotFoundError
from freehold.core.specs import ImageStep
from freehold.protocol.frames import Payload
from freehold.sdk import steps as steps_module
from freehold.sdk.serialization import load_arguments
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


def run_function(image: freehold.Image) -> tuple[dict[str, Any], dict[str, Any]]:
    """Args of the last step, and what stands beside them."""
    return args(image), steps(image)[-1].beside


def test_run_function_goes_by_name_with_its_file() -> None:
    made, beside = run_function(
        base.run_function(download, args=("big",), secrets=[freehold.Secret.from_name("hf")], timeout=60, cpu=2.0)
    )
    assert (made["module"], made["qualname"]) == (__name__, "download")
    payload = msgspec.msgpack.decode(base64.b64decode(made["call"]), type=Payload)
    assert load_arguments(payload) == (("big",), {})
    assert made["secrets"] == [{"name": "hf", "required_keys": []}]
    assert (beside["timeout_s"], beside["cpu"], beside["mounts"][0]["remote_path"]) == (60.0, 2.0, "/root")
    volumes = args(base.run_function(download, volumes={"/models": freehold.Volume.from_name("m")}))["volumes"]
    assert volumes["/models"]["name"] == "m"
    given = args(base.run_function(download, secrets=[freehold.Secret.from_dict({"A": "b"})]))
    assert given["secrets"] == [{"values": {"A": "b"}}]  # which the server seals
    assert run_function(base.run_function(download, include_source=False))[1]["mounts"] == []
    with pytest.raises(InvalidError, match=r"without @app\.function"):
        base.run_function(freehold.App().function()(download))


def test_run_function_goes_by_value_where_no_file_has_it() -> None:
    def inner() -> str:
        return download("inner")

    beside = run_function(base.run_function(inner))[1]
    assert "mounts" not in beside
    assert pickle.loads(base64.b64decode(beside["serialized"]))() == "got inner"


_PROGRAM = """
SIZE, NAMES = 3, {"a": [1, 2]}

class Loader:
    kind = "plain"
    @staticmethod
    def load(n):
        return n + SIZE

def helper():
    return Loader.load(1), NAMES

def get():
    return [helper() for n in range(3)]

def apart():
    return 1
"""


def _digest(text: str) -> str:
    scope: dict[str, Any] = {"__name__": "job"}
    exec(compile(text, "job.py", "exec"), scope)
    with Bundles() as bundles:
        return image_digest(base.run_function(scope["get"]).spec(bundles))


def test_an_edit_beside_a_function_keeps_the_image() -> None:
    first = _digest(_PROGRAM)
    for old, new in (
        ("SIZE, N", "\n\n# more\nSIZE, N"),
        ("return 1\n", "return 2\n"),
        ("def helper", "\n\ndef helper"),
    ):
        assert old in _PROGRAM
        assert _digest(_PROGRAM.replace(old, new)) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("range(3)", "range(4)"),
        ("load(1)", "load(2)"),
        ("SIZE, NAMES = 3", "SIZE, NAMES = 4"),
        ("n + SIZE", "n - SIZE"),
        ("[1, 2]", "[1, 3]"),
        ('"plain"', '"other"'),
    ],
)
def test_a_change_of_what_a_function_uses_makes_another_image(old: str, new: str) -> None:
    assert _digest(_PROGRAM.replace(old, new)) != _digest(_PROGRAM)


def test_wrong_values_are_named() -> None:
    with pytest.raises(InvalidError, match=r"python_version='three'"):
        freehold.Image.debian_slim(python_version="three")
    with pytest.raises(InvalidError, match="value of 'A' is of type int"):
        base.env({"A": 1})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidError, match="cannot read"):
        base.pip_install_from_requirements("nope.txt")


def test_imports_may_fail_and_the_image_remembers() -> None:
    image = freehold.Image.debian_slim()
    with image.imports():
        importlib.import_module("nothing_of_this_name")
    assert isinstance(image.failed_imports[0], ModuleNotFoundError)
    with pytest.warns(UserWarning, match=r"imports.., OSError: no driver"), image.imports():
        raise OSError("no driver")


def test_every_beginning_and_step_is_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:3.12\nRUN true\n")
    (tmp_path / "env.yml").write_text("dependencies: [x]\n")
    secret = freehold.Secret.from_name("login")
    image = (
        freehold.Image.from_registry(
            "nvidia/cuda:12", add_python="3.12", setup_dockerfile_commands=["RUN true"], secret=secret
        )
        .dockerfile_commands("RUN true", build_args={"A": "b"}, gpu="T4")
        .entrypoint([])
        .cmd(["x"])
        .shell(["/bin/sh"])
        .micromamba_install("cuda", channels=["nvidia"], spec_file=tmp_path / "env.yml")
    )
    assert [s.kind for s in steps(image)] == [
        "from_registry",
        "dockerfile_commands",
        "entrypoint",
        "cmd",
        "shell",
        "micromamba_install",
    ]
    assert steps(image)[0].args == {
        "tag": "nvidia/cuda:12", "add_python": "3.12", "setup_dockerfile_commands": ["RUN true"],
        "registry_secrets": [{"name": "login", "required_keys": []}],
    }  # fmt: skip
    assert steps(image)[1].args == {"commands": ["RUN true"], "build_args": {"A": "b"}, "gpu": ["T4"]}
    assert args(image) == {"packages": ["cuda"], "channels": ["nvidia"], "spec_file": "dependencies: [x]\n"}
    made = args(freehold.Image.from_dockerfile(tmp_path / "Dockerfile", add_python="3.11", env={"A": "b"}))
    assert made == {"dockerfile": "FROM python:3.12\nRUN true\n", "add_python": "3.11", "env": {"A": "b"}}
    assert args(freehold.Image.from_aws_ecr("1.dkr.ecr.x/y:1", secret))["registry"] == "aws"
    assert args(freehold.Image.from_gcp_artifact_registry("x-docker.pkg.dev/y", secret))["registry"] == "gcp"
    assert args(freehold.Image.from_registry("alpine:3.18.3", add_python="3.11-musl"))["add_python"] == "3.11-musl"
    assert args(freehold.Image.micromamba("3.11")) == {"python_version": "3.11"}
    assert steps(freehold.Image.from_scratch())[0].kind == "from_scratch"
    assert args(freehold.Image.from_id("im-" + "0a" * 12)) == {"id": "im-" + "0a" * 12}


def test_a_dockerfiles_context_is_what_it_copies(tmp_path: Path) -> None:
    for name in ("a.txt", "src/m.py", "src/deep/n.py", "src/n.log", "other.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("# logs\n**/*.log\n")

    def names(image: freehold.Image) -> list[str]:
        with Bundles() as bundles:
            digest = image.spec(bundles).steps[-1].args["context"]
            with tarfile.open(fileobj=bundles.tars[digest]) as tar:
                return sorted(tar.getnames())

    image = base.dockerfile_commands("COPY a.txt /", "COPY src /srv", context_dir=tmp_path)
    assert names(image) == ["a.txt", "src/deep/n.py", "src/m.py"]
    assert names(base.dockerfile_commands("ARG WHAT=src", "COPY $WHAT /srv", context_dir=tmp_path))[:2] == [
        ".dockerignore",
        "a.txt",
    ]
    everything = base.dockerfile_commands("COPY . /srv", context_dir=tmp_path, ignore=lambda p: p.suffix != ".txt")
    assert names(everything) == ["a.txt", "other.txt"]
    assert names(base.dockerfile_commands("COPY *.txt /", context_dir=tmp_path)) == ["a.txt", "other.txt"]
    assert names(
        base.dockerfile_commands("COPY x /y", context_files={"x": tmp_path / "a.txt"}, context_dir=tmp_path)
    ) == ["x"]
    with pytest.raises(InvalidError, match=r"COPY 'nope': there is no such file in the context"):
        steps(base.dockerfile_commands("COPY nope /", context_dir=tmp_path))
    with pytest.raises(InvalidError, match=r"COPY '../x' lies outside of the context"):
        base.dockerfile_commands("COPY ../x /", context_dir=tmp_path)


def test_what_a_step_needs_while_it_runs_is_its_own() -> None:
    secret, volume = freehold.Secret.from_dict({"TOKEN": "t"}), freehold.Volume.from_name("data")
    made = args(
        base.run_commands(
            "make", env={"A": "1", "B": None}, secrets=[secret], volumes={"/data": volume}, gpu=["T4", "any"]
        )
    )
    assert made["env"] == {"A": "1"}
    assert made["secrets"] == [{"values": {"TOKEN": "t"}}]
    assert (made["volumes"]["/data"]["name"], made["gpu"]) == ("data", ["T4", "any"])
    assert [s.kind for s in steps(base.pip_install("x", env={"A": "1"}))] == ["debian_slim", "pip_install"]
    private = args(
        base.pip_install_private_repos("github.com/a/b@1", "gitlab.com/c/d", git_user="me", secrets=[secret])
    )
    assert private["packages"] == [
        "git+https://me:${GITHUB_TOKEN}@github.com/a/b@1",
        "git+https://me:${GITLAB_TOKEN}@gitlab.com/c/d",
    ]


def test_poetry_projects(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.poetry]\n")
    with pytest.raises(NotFoundError, match=r"poetry.lock' is not here: .*ignore_lockfile=True"):
        base.poetry_install_from_file(tmp_path / "pyproject.toml")
    assert "lock" not in args(base.poetry_install_from_file(tmp_path / "pyproject.toml", ignore_lockfile=True))
    (tmp_path / "poetry.lock").write_text("# lock")
    made = args(
        base.poetry_install_from_file(tmp_path / "pyproject.toml", with_=["dev"], only=["main"], poetry_version="1.8")
    )
    assert (made["lock"], made["with"], made["only"], made["poetry_version"]) == ("# lock", ["dev"], ["main"], "1.8")


def test_force_build_makes_another_image_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(image: freehold.Image) -> str:
        with Bundles() as bundles:
            return image_digest(image.spec(bundles))

    plain, forced = base.pip_install("x"), base.pip_install("x", force_build=True)
    assert digest(plain) != digest(forced)
    assert digest(forced) == digest(base.pip_install("x", force_build=True))
    monkeypatch.setattr(steps_module, "FORCED", "of the next process")
    assert digest(forced) != digest(base.pip_install("x", force_build=True))
    before = digest(plain)
    monkeypatch.setenv("MODAL_FORCE_BUILD", "1")
    assert digest(plain) != before


def test_pipe() -> None:
    def with_tools(image: freehold.Image, *names: str, extra: str = "") -> freehold.Image:
        return image.pip_install(*names, extra)

    assert args(base.pipe(with_tools, "a", extra="b"))["packages"] == ["a", "b"]
    with pytest.raises(
        InvalidError,
        match=r"Image.pipe.lambda.*it returned None, not an Image|Image.pipe\(<lambda>\): it returned None",
    ):
        base.pipe(lambda image: None)  # pyright: ignore[reportUnknownLambdaType, reportArgumentType]


def test_older_names_still_work(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    with pytest.warns(DeprecationError, match="add_local_file"):
        made = args(base.copy_local_file(tmp_path / "x.txt", "/srv/"))
    assert made["remote_path"] == "/srv"
    with pytest.warns(DeprecationError, match="add_local_dir"):
        assert args(base.copy_local_dir(tmp_path, "/srv"))["remote_path"] == "/srv"
    with pytest.warns(DeprecationError, match="from_registry"):
        made = args(freehold.Image.from_dockerhub("python:3.12", setup_commands=["one"]))
    assert (made["tag"], made["setup_dockerfile_commands"]) == ("python:3.12", ["RUN one"])
    with pytest.warns(DeprecationError, match="micromamba"):
        made = args(freehold.Image.conda("3.12").conda_install("numpy", channels=["conda-forge"]))
    assert made["packages"] == ["numpy"]
    with pytest.raises(InvalidError, match=r"use add_local_dir\(..., copy=True\)"):
        base.copy_mount(object())


_WRONG_STEPS: list[tuple[Callable[[Any], object], str]] = [
    (lambda image: image.pip_install(["a", 3]), "Image.pip_install: 3 is not a text"),
    (lambda image: image.uv_pip_install(""), "Image.uv_pip_install: '' is not a text"),
    (lambda image: image.pip_install("a", index_url=3), "Image.pip_install: index_url: 3 is not a text"),
    (
        lambda image: image.pip_install("a", index="x"),
        "Image.pip_install has no option 'index'; did you mean 'index_url'",
    ),
    (
        lambda image: image.pip_install("a", secrets=["s"]),
        r"Image.pip_install: secrets='s' is not a list of freehold.Secret",
    ),
    (lambda image: image.apt_install("a", volumes={}), "Image.apt_install has no option 'volumes'"),
    (
        lambda image: image.run_commands("a", volumes={"/etc": freehold.Volume.from_name("d")}),
        "cannot be mounted at '/etc'",
    ),
    (lambda image: image.run_commands("a", env={"A": 1}), "Image.run_commands: env: the value of 'A' is of type int"),
    (lambda image: image.run_commands("a", gpu="T4:x"), "Image.run_commands: gpu='T4:x'"),
    (lambda image: image.pip_install("a", force_build="yes"), "force_build='yes' is neither True nor False"),
    (lambda image: image.pip_install_private_repos("github.com/a/b", git_user="me"), "give secrets="),
    (
        lambda image: image.pip_install_private_repos(
            "https://github.com/a/b", git_user="me", secrets=[freehold.Secret.from_name("s")]
        ),
        "is neither github.com",
    ),
    (
        lambda image: image.dockerfile_commands("RNU x"),
        "Image.dockerfile_commands: line 1: 'RNU' is not an instruction .*did you mean 'RUN'",
    ),
    (lambda image: image.from_id("nope"), "Image.from_id.'nope'.: an image's id is of the form im-"),
    (lambda image: image.from_registry("x", add_python="three"), "python_version='three'"),
    (lambda image: image.uv_sync(groups="dev"), r"groups='dev' is one text: give a list, \['dev'\]"),
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


def test_the_cut_off_date_of_packages_is_part_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2024-06-01")
    assert args(base.pip_install("x"))["env"] == {"UV_EXCLUDE_NEWER": "2024-06-01"}
    assert args(base.uv_pip_install("x", env={"UV_EXCLUDE_NEWER": "2023-01-01"}))["env"] == {
        "UV_EXCLUDE_NEWER": "2023-01-01"
    }
    assert "env" not in args(base.run_commands("x"))
