"""What the documentation says that can be checked: its programs, its command lines and its links are real."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import freehold
from freehold.cli.main import COMMANDS, load

_ROOT = Path(__file__).resolve().parents[3]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md")), *sorted((_ROOT / "examples").rglob("*.md"))]
_NAMES = [str(p.relative_to(_ROOT)) for p in _PAGES]


def _blocks(page: str, *languages: str) -> list[str]:
    text = (_ROOT / page).read_text()
    return [
        code
        for language, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if language in languages
    ]


@pytest.mark.parametrize("page", [n for n in _NAMES if _blocks(n, "python")])
def test_programs_are_python_and_use_names_that_there_are(page: str) -> None:
    for block in _blocks(page, "python"):
        for node in ast.walk(ast.parse(_with_bodies(block))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = {"freehold": freehold, "app": freehold.App}.get(node.value.id)
                assert owner is None or hasattr(owner, node.attr), f"{page}: {node.value.id}.{node.attr}"


def _with_bodies(block: str) -> str:
    """Give a decorator that stands alone, as in a list of decorators, something to decorate."""
    return re.sub(r"(?m)^(@[^\n]*)\n(?=\n|@freehold\.web_server|\Z)", r"\1\ndef _(): ...\n", block)


@pytest.mark.parametrize("page", _NAMES)
def test_command_lines_are_taken(page: str) -> None:
    for line in _command_lines(page):
        words = shlex.split(line, comments=True)[1:]
        if not words or not words[0].isalpha():
            continue
        assert words[0] in COMMANDS, f"{page}: {line}"
        command = load(words[0])
        inner: dict[str, Any] = getattr(command, "commands", {})
        if inner and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
            assert words[1] in inner, f"{page}: {line}"
            command = inner[words[1]]
        known = {"--help", "-h"} | {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        for option in _own_options(words):
            assert option in known, f"{page}: {line}"


def _command_lines(page: str) -> Iterator[str]:
    for block in _blocks(page, ""):
        for line in block.splitlines():
            if match := re.match(r"(?:\$ )?(freehold .*)", line.strip()):
                yield match[1]
    prose = re.sub(r"```.*?```", "", (_ROOT / page).read_text(), flags=re.DOTALL)
    yield from (code for code in re.findall(r"`(freehold [a-z][^`|…]*)`", prose) if "'" not in code)


def _own_options(words: list[str]) -> Iterator[str]:
    """Options of the command itself: what follows a program belongs to the program."""
    for word in words:
        if ".py" in word:
            return
        if word.startswith("-") and len(word) > 1:
            yield word.partition("=")[0]


@pytest.mark.parametrize("page", _NAMES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", (_ROOT / page).read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        linked = (_ROOT / page).parent / path if path else _ROOT / page
        assert linked.exists(), f"{page}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w-]", "", t.lower().replace(" ", "-")) for t in titles}, f"{page}: {target}"
