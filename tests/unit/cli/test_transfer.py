"""Which files a folder and a pattern stand for."""

import os
import re
from pathlib import Path

import pytest

from freehold.cli import output, transfer

_files = transfer._local_files
_expression = transfer._as_expression


def test_a_folder_gives_its_files_and_tells_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output.stderr.cache_clear()
    (tmp_path / "sub" / "한글").mkdir(parents=True)
    (tmp_path / "sub" / "한글" / "with space.txt").touch()
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "folder").symlink_to("sub")
    os.mkfifo(tmp_path / "pipe")
    assert [name for _, name in _files(tmp_path)] == ["a", "link", "sub/한글/with space.txt"]
    said = capsys.readouterr().err
    assert "broken (a broken link)" in said
    assert "folder (a link to a folder)" in said
    assert "pipe (no file)" in said


@pytest.mark.parametrize(
    ("pattern", "matches", "not_these"),
    [
        ("d/*.txt", ["d/a.txt"], ["d/sub/a.txt", "da.txt", "d/a.txt.gz"]),
        ("**/*.txt", ["a.txt", "d/a.txt", "d/e/a.txt"], ["a.tx"]),
        ("d/**", ["d/a", "d/e/a"], ["e/a"]),
        ("run-?.log", ["run-1.log"], ["run-10.log", "run-/.log"]),
        ("a[1].b", ["a[1].b"], ["a1.b"]),
    ],
)
def test_patterns_read_as_in_a_shell(pattern: str, matches: list[str], not_these: list[str]) -> None:
    full = re.compile(_expression(pattern)).fullmatch
    assert all(full(path) for path in matches)
    assert not any(full(path) for path in not_these)
