"""Volumes as programs and people use them."""

import os
import time
from pathlib import Path

from tests.e2e.harness import Freehold


def test_one_volume_in_several_functions(server: Freehold) -> None:
    assert server.lines("run", "-q", "volume_share.py") == [
        "not mounted: True",
        "['weights.bin'] ['made', 'models']",
        "read-only: Read-only file system",
        "read-only: Read-only file system",
        "['models/seen.txt', 'models/weights.bin'] True 0",
        "commit is for functions",
    ]
    stored = server.home / "volumes" / "main" / "compat-share" / "files"
    assert (stored / "models" / "seen.txt").read_text() == "seen"
    assert (stored / "made" / "by" / "mount").is_dir()


def test_a_volume_from_outside(server: Freehold, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "deep" / "b.txt").write_text("bb")
    assert server.lines("run", "-q", "volume_outside.py", "--folder", str(tmp_path)) == [
        "in DIRECTORY -",
        "in/a.txt FILE 1",
        "in/deep DIRECTORY -",
        "in/deep/b.txt FILE 2",
        "in/größe 한글.txt FILE 11",
        "there already: ['in']",
        "again",
        "missing: True",
        "missing: True",
        (
            "['copy/a.txt', 'copy/deep/b.txt', 'copy/größe 한글.txt', 'flat/a.txt', 'flat/b.txt', "
            "'in/a.txt', 'in/deep/b.txt', 'in/größe 한글.txt']"
        ),
        "compat-outside-2 True",
        "True",
        "['compat-outside-2']",
        "gone: no volume 'compat-outside-2'",
    ]


def test_copies_and_names_on_the_command_line(server: Freehold, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    server.ok("volume", "create", "compat-cli", "--version", "2")
    server.ok("volume", "put", "compat-cli", str(tmp_path / "a.txt"), "/dir/a.txt")
    server.ok("volume", "cp", "compat-cli", "dir/a.txt", "b.txt")
    refused = server("volume", "cp", "compat-cli", "dir", "copy")
    assert (refused.returncode, "copy it with recursive (-r)" in refused.stderr) == (2, True)
    server.ok("volume", "cp", "-r", "compat-cli", "dir", "b.txt", "all/")
    paths = [f["path"] for f in server.json("volume", "ls", "-r", "compat-cli") if f["type"] == "file"]
    assert paths == ["all/b.txt", "all/dir/a.txt", "b.txt", "dir/a.txt"]
    assert server("volume", "cp", "compat-cli", "-r", "all", "all/deeper").returncode == 2
    assert server("volume", "cp", "compat-cli", "../../x", "y").returncode == 2
    assert server("volume", "rename", "compat-cli", "compat-cli-2").returncode == 2  # nobody to ask
    server.ok("volume", "create", "compat-taken")
    assert server("volume", "rename", "compat-cli", "compat-taken", "--yes").returncode == 6
    server.ok("volume", "rename", "compat-cli", "compat-cli-2", "-y")
    assert server.ok("volume", "get", "compat-cli-2", "all/dir/a.txt", "-") == "a"
    for name in ("compat-cli-2", "compat-taken"):
        server.ok("volume", "delete", name, "-y")
    assert server("volume", "delete", "compat-cli-2", "-y").returncode == 4
    server.ok("volume", "delete", "compat-cli-2", "-y", "--allow-missing")


def test_a_large_file_goes_in_is_copied_and_comes_out(server: Freehold, tmp_path: Path) -> None:
    size = 200_000_000
    with (tmp_path / "big").open("wb") as file:
        for _ in range(size // 1_000_000):
            file.write(os.urandom(1000) * 1000)
    server.ok("volume", "create", "compat-large")
    begun = time.monotonic()
    server.ok("volume", "put", "compat-large", str(tmp_path / "big"), "/big")
    server.ok("volume", "cp", "compat-large", "big", "copy")
    server.ok("volume", "get", "compat-large", "copy", str(tmp_path / "back"))
    took = time.monotonic() - begun
    server.ok("volume", "delete", "compat-large", "-y")
    assert (tmp_path / "back").stat().st_size == size
    with (tmp_path / "big").open("rb") as one, (tmp_path / "back").open("rb") as two:
        while (piece := one.read(10_000_000)) or two.read(1):
            assert piece == two.read(len(piece))
    assert took < 60.0, f"{took:.1f} s"
