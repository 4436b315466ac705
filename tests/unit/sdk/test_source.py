"""Local files that go along: which, and as which tar."""

import hashlib
import importlib
import io
import os
import sys
import tarfile
from pathlib import Path

import pytest

from freehold.core.errors import InvalidError
from freehold.sdk.source import Bundles, Files, imported_by, local_module, locate, module_name_of, sources_of, write_tar


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"# {path}\n")


def names(bundles: Bundles, digest: str) -> list[str]:
    with tarfile.open(fileobj=bundles.tars[digest]) as tar:
        return tar.getnames()


@pytest.fixture
def bundles() -> Bundles:
    return Bundles()


@pytest.fixture(autouse=True)
def _closing(bundles: Bundles) -> object:  # pyright: ignore[reportUnusedFunction]
    with bundles:
        yield


def test_equal_files_make_equal_tars(tmp_path: Path) -> None:
    make(tmp_path, "one/b.py", "one/a.py", "two/a.py", "two/b.py")
    for file in (tmp_path / "two").iterdir():
        file.write_text((tmp_path / "one" / file.name).read_text())
        os.utime(file, (1, 1))
        file.chmod(0o600)
    written = [io.BytesIO(), io.BytesIO()]
    digests = [
        write_tar({p.name: p for p in (tmp_path / folder).iterdir()}, out)
        for folder, out in zip(("one", "two"), written, strict=True)
    ]
    assert digests[0] == digests[1] == hashlib.sha256(written[0].getvalue()).hexdigest()
    (tmp_path / "two" / "a.py").chmod(0o700)
    assert write_tar({"a.py": tmp_path / "two" / "a.py"}, io.BytesIO()) != digests[0]


def test_what_is_nobodys_source_stays(tmp_path: Path, bundles: Bundles) -> None:
    make(
        tmp_path,
        "a.py",
        "data/x.txt",
        ".git/config",
        "__pycache__/a.pyc",
        "p/__pycache__/b.pyc",
        ".venv/lib.py",
        "p/b.py",
    )
    (mount,) = bundles.mounts([Files(local=tmp_path, remote="/root/pkg")])
    assert mount.remote_path == "/root"
    assert names(bundles, mount.digest) == ["pkg/a.py", "pkg/data/x.txt", "pkg/p/b.py"]


def test_ignore_takes_patterns_and_functions(tmp_path: Path, bundles: Bundles) -> None:
    make(tmp_path, "a.py", "a.txt", "p/b.txt", "p/b.py")
    (mount,) = bundles.mounts([Files(local=tmp_path, remote="/data", ignore=["**/*.txt"])])
    assert names(bundles, mount.digest) == ["a.py", "p/b.py"]
    (mount,) = bundles.mounts([Files(local=tmp_path, remote="/data", ignore=lambda p: p.parts[0] == "p")])
    assert names(bundles, mount.digest) == ["a.py", "a.txt"]


def test_no_mount_covers_another(tmp_path: Path, bundles: Bundles) -> None:
    make(tmp_path, "job.py", "conf/x.yaml", "models/m.bin")
    mounts = bundles.mounts(
        [
            Files(local=tmp_path / "job.py", remote="/root/job.py"),
            Files(local=tmp_path / "conf", remote="/root/conf"),
            Files(local=tmp_path / "models", remote="/models"),
            Files(local=tmp_path / "conf/x.yaml", remote="/models/sub/x.yaml"),
        ]
    )
    assert [m.remote_path for m in mounts] == ["/models", "/root"]
    assert names(bundles, mounts[0].digest) == ["m.bin", "sub/x.yaml"]
    assert names(bundles, mounts[1].digest) == ["conf/x.yaml", "job.py"]
    assert bundles.sizes[mounts[0].digest] > 0


def test_a_missing_file_is_named(tmp_path: Path, bundles: Bundles) -> None:
    with pytest.raises(InvalidError, match="neither a file nor a folder"):
        bundles.mounts([Files(local=tmp_path / "nope", remote="/x")])


def test_module_names_follow_packages(tmp_path: Path) -> None:
    make(tmp_path, "a/__init__.py", "a/b/__init__.py", "a/b/c.py", "d/e.py")
    assert module_name_of(tmp_path / "a/b/c.py") == "a.b.c"
    assert module_name_of(tmp_path / "a/b/__init__.py") == "a.b"
    assert module_name_of(tmp_path / "d/e.py") == "e"


def test_a_module_brings_its_outermost_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(
        tmp_path, "space_x/pkg_x/__init__.py", "space_x/pkg_x/sub/__init__.py", "space_x/pkg_x/sub/mod.py", "alone_x.py"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    try:
        for name, local, remote in (
            ("space_x.pkg_x.sub.mod", "space_x/pkg_x", "/root/space_x/pkg_x"),
            ("space_x.pkg_x.sub", "space_x/pkg_x", "/root/space_x/pkg_x"),
            ("alone_x", "alone_x.py", "/root/alone_x.py"),
        ):
            importlib.import_module(name)
            source = locate(name)
            assert source is not None
            assert (source.module, source.files.local, source.files.remote) == (name, tmp_path / local, remote)
        assert len(sources_of(["alone_x", "alone_x", "no_such_module"])) == 1
    finally:
        for name in [n for n in sys.modules if n.split(".")[0] in ("space_x", "alone_x")]:
            del sys.modules[name]


def test_a_module_of_a_namespace_brings_all_of_its_python_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundles: Bundles
) -> None:
    make(tmp_path, "one/space_y/mod.py", "one/space_y/notes.txt", "one/space_y/sub/deep.py")
    make(tmp_path, "one/space_y/pkg_y/__init__.py", "one/space_y/pkg_y/mod.py", "one/space_y/pkg_y/data.bin", "two/space_y/other.py")  # fmt: skip
    monkeypatch.setattr(sys, "path", [str(tmp_path / "one"), str(tmp_path / "two"), *sys.path])
    python = ["space_y/mod.py", "space_y/other.py", "space_y/pkg_y/__init__.py", "space_y/pkg_y/mod.py", "space_y/sub/deep.py"]  # fmt: skip
    try:
        for name, more in (("space_y.mod", []), ("space_y.pkg_y.mod", ["space_y/pkg_y/data.bin"])):
            importlib.import_module(name)
            source = locate(name)
            assert source is not None
            (mount,) = bundles.mounts(source.all_files)
            assert sorted(names(bundles, mount.digest)) == sorted([*python, *more])
    finally:
        for name in [n for n in sys.modules if n.split(".")[0] == "space_y"]:
            del sys.modules[name]


def test_local_modules_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundles: Bundles) -> None:
    make(tmp_path, "lib_y/__init__.py", "lib_y/part.py", "lib_y/data.bin", "tool_y.py")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (mount,) = bundles.mounts([*local_module("lib_y"), *local_module("tool_y")])
    assert names(bundles, mount.digest) == ["lib_y/__init__.py", "lib_y/part.py", "tool_y.py"]
    (mount,) = bundles.mounts(local_module("lib_y", ["part.py"]))
    assert names(bundles, mount.digest) == ["lib_y/__init__.py", "lib_y/data.bin"]
    with pytest.raises(InvalidError, match=r"add_local_python_source\('nope_y'\)"):
        local_module("nope_y")


def test_what_a_file_imports_for_instances(tmp_path: Path) -> None:
    file = tmp_path / "p.py"
    file.write_text(
        "import one.two\nfrom three import x\nfrom . import y\n"
        "def f():\n    import four\n"
        "@app.local_entrypoint()\ndef main():\n    import here\n"
        "if __name__ == '__main__':\n    import here_too\n"
    )
    assert imported_by(file) == {"one", "three", "four"}
    file.write_text("def broken(:")
    assert imported_by(file) == set()
