"""Patterns as a .dockerignore has them."""

from pathlib import Path
from typing import Any, cast

import pytest

from freehold.core.errors import InvalidError
from freehold.sdk.file_pattern_matcher import NON_PYTHON_FILES, FilePatternMatcher, matcher_of


@pytest.mark.parametrize(
    ("patterns", "matched", "left"),
    [
        (["*.py"], "a.py", "d/a.py"),
        (["**/*.py"], "a.py", "a.pyc"),
        (["**/*.py"], "d/e/a.py", "d/e/py"),
        (["**.py"], "d/e/a.py", "a.pyc"),
        (["data"], "data/deep/x", "other/data"),
        (["data/"], "data/x", "datas"),
        (["./data"], "data/x", "x/data"),
        (["/data/**"], "data/x/y", "x"),
        (["a?c"], "abc", "a/c"),
        (["[ab].txt"], "b.txt", "c.txt"),
        (["[^ab].txt"], "c.txt", "b.txt"),
        (["a.c"], "a.c", "abc"),
        (["\\*.txt"], "*.txt", "a.txt"),
        (["*.md", "!README.md"], "other.md", "README.md"),
        (["*.md", "!README*", "README-secret.md"], "README-secret.md", "README.md"),
        (["docs", "!docs/keep"], "docs/x", "docs/keep"),
        (["a/**/z"], "a/z", "a/b"),
        (["a/**/z"], "a/b/c/z", "b/z"),
        (["", "  ", "x"], "x", "y"),
        (["**"], "any/thing", "."),
    ],
)
def test_patterns(patterns: list[str], matched: str, left: str) -> None:
    matcher = FilePatternMatcher(*patterns)
    assert matcher(Path(matched))
    assert not matcher(Path(left))
    assert not (~matcher)(Path(matched))
    assert (~matcher)(left)


def test_a_file_of_patterns_is_read_when_it_is_first_asked(tmp_path: Path) -> None:
    matcher = FilePatternMatcher.from_file(tmp_path / "ignored")
    (tmp_path / "ignored").write_text("# what is made\n*.o\n\n!main.o\n")
    assert [matcher(Path(p)) for p in ("a.o", "main.o", "a.c", "# what is made")] == [True, False, False, False]
    assert not matcher.can_prune_directories()
    assert FilePatternMatcher("*.o").can_prune_directories()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"no-such-file.*cannot be read"):
        FilePatternMatcher.from_file(tmp_path / "no-such-file")(Path("x"))
    with pytest.raises(InvalidError, match=r"'!'.*none follows"):
        FilePatternMatcher("!")(Path("x"))
    with pytest.raises(InvalidError, match="5 is not a text"):
        FilePatternMatcher(cast("Any", 5))


def test_what_is_no_python_file() -> None:
    assert NON_PYTHON_FILES(Path("d/a.txt"))
    assert not NON_PYTHON_FILES(Path("d/a.py"))
    assert repr(NON_PYTHON_FILES) == "NON_PYTHON_FILES"


def test_matchers_that_differ_read_differently() -> None:
    shown = {
        str(m)
        for m in (
            FilePatternMatcher("a"),
            FilePatternMatcher("b"),
            ~FilePatternMatcher("a"),
            FilePatternMatcher.from_file("a"),
        )
    }
    assert len(shown) == 4


def test_either_form_of_ignore() -> None:
    assert matcher_of(["a"])(Path("a/b.txt"))
    assert matcher_of(FilePatternMatcher("*.txt"))(Path("b.txt"))
    assert not matcher_of(lambda path: path.name == "c.txt")(Path("b.txt"))
    assert not matcher_of([])(Path("b.txt"))
