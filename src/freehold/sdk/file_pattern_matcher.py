"""Patterns of file paths, as a `.dockerignore` has them: for the `ignore=` of what goes into images and volumes.

`*` and `?` stop at slashes, `**` does not; `!` takes back what an earlier pattern matched. A folder that matches takes what is in it along.
"""

import os
import posixpath
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path, PurePath
from typing import NamedTuple

from freehold.core.errors import InvalidError

AnyPath = str | PurePath


class Matcher:
    """Tells of a path, relative to the folder that is added, whether it matches. `~` turns it round."""

    def __init__(self, matches: Callable[[AnyPath], bool], shown: str) -> None:
        self._decide, self._shown = matches, shown

    def __call__(self, path: AnyPath, /) -> bool:
        return self._decide(path)

    def __invert__(self) -> "Matcher":
        return Matcher(lambda path: not self(path), f"~{self!r}")

    def __repr__(self) -> str:
        return self._shown

    def can_prune_directories(self) -> bool:
        """Whether all that is in a folder that matches does so too."""
        return False


class FilePatternMatcher(Matcher):
    """Patterns one by one, or from a file with one a line, which is read when it is first asked."""

    def __init__(self, *pattern: str) -> None:
        for one in pattern:
            if not isinstance(one, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                msg = f"FilePatternMatcher: {one!r} is not a text such as '**/*.pyc'"
                raise InvalidError(msg)
        super().__init__(self._matches, f"FilePatternMatcher({', '.join(map(repr, pattern))})")
        self._lines: Sequence[str] = pattern
        self._file: Path | None = None

    @classmethod
    def from_file(cls, file_path: str | os.PathLike[str]) -> "FilePatternMatcher":
        """The patterns of a file such as `.dockerignore`; lines that begin with `#` say nothing."""
        made = cls()
        made._file = Path(file_path)
        made._shown = f"FilePatternMatcher.from_file({str(file_path)!r})"
        return made

    def can_prune_directories(self) -> bool:
        return not any(p.takes_back for p in self.patterns)

    @cached_property
    def patterns(self) -> "list[Pattern]":
        """What the texts say, in their order."""
        if self._file is None:
            return [p for p in map(_pattern, self._lines) if p is not None]
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"FilePatternMatcher.from_file({str(self._file)!r}): it cannot be read: {error}"
            raise InvalidError(msg) from None
        return [p for p in map(_pattern, (line for line in lines if not line.startswith("#"))) if p is not None]

    def _matches(self, path: AnyPath) -> bool:
        text = posixpath.normpath(str(path))
        if text == ".":
            return False  # nothing would be left
        parts = text.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        matched = False
        for pattern in self.patterns:
            if pattern.takes_back == matched and any(map(pattern.regex.fullmatch, above)):
                matched = not matched
        return matched


class Pattern(NamedTuple):
    """One pattern: a path that it fits is matched, or no longer."""

    regex: re.Pattern[str]
    takes_back: bool


def matcher_of(ignore: Sequence[str] | Callable[[Path], bool]) -> Callable[[Path], bool]:
    """What tells whether `ignore=`, of either form, leaves out a path relative to what is added."""
    return ignore if callable(ignore) else FilePatternMatcher(*ignore)


def _pattern(line: str) -> Pattern | None:
    text = line.strip().strip("/")
    if not text:
        return None
    text = posixpath.normpath(text)
    takes_back = text.startswith("!")
    text = text[1:].lstrip("/") if takes_back else text
    if not text:
        msg = f"pattern {line!r}: an exclamation mark stands before a pattern, and none follows"
        raise InvalidError(msg)
    try:
        return Pattern(re.compile(_regex(text), re.DOTALL), takes_back)
    except re.error as error:
        msg = f"pattern {line!r} cannot be read: {error}"
        raise InvalidError(msg) from None


_TOKEN = re.compile(
    r"""(?P<end>\*\*/?\Z) | (?P<folders>\*\*/?) | (?P<some>\*) | (?P<one>\?) | (?P<set>\[\^?\]?[^\]]*\]) | \\(?P<plain>.) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_SPECIAL = frozenset("*?[]\\")
_REGEXES = {"end": ".*", "folders": "(?:.*/)?", "some": "[^/]*", "one": "[^/]"}


def _regex(text: str) -> str:
    if text.startswith("**") and text[2:3] not in ("", "/") and not _SPECIAL.intersection(text[2:]):
        return ".*" + re.escape(text[2:])  # as Docker reads `**.txt`: what ends so
    parts: list[str] = []
    for token in _TOKEN.finditer(text):
        kind, value = token.lastgroup or "", token[token.lastgroup or 0]
        parts.append(_REGEXES.get(kind) or (value.replace("\\", "\\\\") if kind == "set" else re.escape(value)))
    return "".join(parts)


NON_PYTHON_FILES = Matcher(~FilePatternMatcher("**/*.py"), "NON_PYTHON_FILES")
