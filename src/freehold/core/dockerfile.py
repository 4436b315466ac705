"""Reads Dockerfiles: which instructions they hold. What is done with them is left to others."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from freehold.core.errors import InvalidError
from freehold.core.suggest import did_you_mean

INSTRUCTIONS = frozenset(
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR".split()  # noqa: SIM905
)
_FLAG = re.compile(r"--([a-z]+)(?:=(\S+))?\s+")
_HEREDOC = re.compile(r"<<-?\s*([\"']?)([A-Za-z_][A-Za-z0-9_]*)\1")
_VARIABLE = re.compile(r"\\(.)|\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\})")


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction: `RUN --mount=type=cache pip install x` has op RUN, one flag, and the rest as value."""

    op: str
    value: str
    flags: tuple[tuple[str, str], ...] = ()
    heredoc: str | None = None  # the text between `<<EOF` and `EOF`
    line: int = 1

    def words(self) -> list[str] | None:
        """The words of the JSON form, `["a", "b"]`; None when it is not in that form."""
        try:
            given = json.loads(self.value) if self.value.startswith("[") else None
        except ValueError:
            return None
        items = cast("list[Any]", given) if isinstance(given, list) else []
        return [str(i) for i in items] if items and all(isinstance(i, str) for i in items) else None

    def pairs(self) -> dict[str, str]:
        """`KEY=value …` of ENV, ARG and LABEL, and the old form `ENV KEY value`; a name alone has no value."""
        head, _, tail = self.value.partition(" ")
        if self.op == "ENV" and "=" not in head:
            return {head: tail.strip()}
        found: dict[str, str] = {}
        for word in _split(self):
            key, equals, value = word.partition("=")
            if equals or self.op == "ARG":
                found[key] = value if equals else ""
        return found

    def sources(self) -> tuple[list[str], str]:
        """What COPY and ADD take, and where it goes."""
        parts = self.words() or _split(self)
        if len(parts) < 2:
            msg = f"{self.op} {self.value!r} (line {self.line}) wants at least one source and a destination"
            raise InvalidError(msg)
        return parts[:-1], parts[-1]


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile; InvalidError names the line of what is none."""
    lines = text.splitlines()
    found: list[Instruction] = []
    at = 0
    while at < len(lines):
        if _is_blank(lines[at]):
            at += 1
            continue
        first = at
        joined, at = _joined(lines, at)
        marker = _HEREDOC.search(joined) if joined.split()[0].upper() in ("RUN", "COPY", "ADD") else None
        heredoc = None
        if marker is not None:
            heredoc, at = _body(lines, at, marker[2])
        found.append(_instruction(joined, heredoc, first + 1))
    return found


def copied(instructions: Sequence[Instruction]) -> list[str]:
    """Patterns of what COPY and ADD take from the build's context."""
    taken: list[str] = []
    for one in instructions:
        if one.op in ("COPY", "ADD") and one.heredoc is None and "from" not in dict(one.flags):
            taken += [s for s in one.sources()[0] if "://" not in s]
    return taken


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` replaced; unknown ones are empty."""

    def value(match: "re.Match[str]") -> str:
        if match[1]:
            return match[1]
        known = variables.get(match[2] or match[3], "")
        if match[4] == "-":
            return known or match[5]
        return (match[5] if known else "") if match[4] == "+" else known

    return _VARIABLE.sub(value, text)


# ---- how


def _joined(lines: Sequence[str], at: int) -> tuple[str, int]:
    """A line with those that it goes on in, and where the next one begins."""
    parts: list[str] = []
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if parts and _is_blank(line):
            continue  # a comment or nothing in between
        if not line.endswith("\\"):
            parts.append(line)
            break
        parts.append(line[:-1].rstrip())
    return " ".join(p for p in parts if p), at


def _body(lines: Sequence[str], at: int, end: str) -> tuple[str, int]:
    for stop in range(at, len(lines)):
        if lines[stop].strip() == end:
            return "\n".join(lines[at:stop]) + "\n", stop + 1
    msg = f"line {at}: <<{end} has no line {end!r} that ends it"
    raise InvalidError(msg)


def _instruction(text: str, heredoc: str | None, line: int) -> Instruction:
    op, _, value = text.partition(" ")
    name = op.upper()
    if name not in INSTRUCTIONS:
        hint = did_you_mean(name, INSTRUCTIONS)
        msg = f"line {line}: {op!r} is not an instruction of a Dockerfile{hint}"
        raise InvalidError(msg)
    flags: list[tuple[str, str]] = []
    value = value.strip()
    while (match := _FLAG.match(value)) is not None:
        flags.append((match[1], match[2] or ""))
        value = value[match.end() :]
    return Instruction(op=name, value=value, flags=tuple(flags), heredoc=heredoc, line=line)


def _split(one: Instruction) -> list[str]:
    try:
        return shlex.split(one.value)
    except ValueError as error:
        msg = f"line {one.line}: {one.op} {one.value!r} cannot be read: {error}"
        raise InvalidError(msg) from None


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
