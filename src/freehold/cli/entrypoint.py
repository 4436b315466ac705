"""The command line of a user's function: its typed parameters become options, their help comes from its docstring."""

import asyncio
import collections.abc
import inspect
import json
import re
import types
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import typer

from freehold.core.errors import InvalidError

_ARGS = re.compile(r"^\s*(?:Args|Arguments|Parameters):\s*\n((?:\s+.*(?:\n|$)|\s*\n)+)", re.MULTILINE)
_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_WORDS = (str, int, float, bool, datetime, UUID)
_TAKEN = "take str, int, float, bool, datetime, Path, an Enum, Literal, or a list of one of them"
_ARG = re.compile(r"^\s+\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.+)$", re.MULTILINE)


def invoke(raw: Callable[..., Any], call: Callable[..., Any], args: Sequence[str], *, program: str) -> Any:
    """Parse `args` by the signature of `raw`, then return `call(…)`. With `--help` show the options and return None."""
    given = _parse(raw, args, program)
    if given is None:
        return None
    value = call(*_positional(raw, given), **given)
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def _parse(raw: Callable[..., Any], args: Sequence[str], program: str) -> dict[str, Any] | None:
    parsed: list[dict[str, Any]] = []

    def take(**given: Any) -> None:
        parsed.append(given)

    hints = _hints(raw)
    args, empty = _listed(args, {_flag(p): p for p, hint in hints.items() if _item_type(hint) is not None})
    signature = _signature(raw, hints, empty)
    take.__signature__ = signature  # type: ignore[attr-defined]
    take.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    takes_rest = any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(raw).parameters.values())
    settings = {"help_option_names": ["-h", "--help"], "ignore_unknown_options": takes_rest}
    app.command(name=program, help=_summary(raw), context_settings=settings)(take)
    typer.main.get_command(app).main(args=list(args), prog_name=program, standalone_mode=False)
    return parsed[0] if parsed else None


def _positional(raw: Callable[..., Any], given: dict[str, Any]) -> list[Any]:
    """Take what cannot go by name out of `given`: `*args` and what stands before them, and positional-only parameters."""
    parameters = list(inspect.signature(raw).parameters.values())
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    more: list[Any] = (given.pop(rest) or []) if rest else []
    taken = [
        given.pop(p.name)
        for p in parameters
        if p.kind is p.POSITIONAL_ONLY or (more and p.kind is p.POSITIONAL_OR_KEYWORD)
    ]
    return [*taken, *more]


def _hints(raw: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(raw)
    except Exception as error:
        msg = f"the annotations of {raw.__name__} cannot be read here ({error}), and they say what its options are"
        raise InvalidError(msg) from error


def _listed(args: Sequence[str], lists: dict[str, str]) -> tuple[list[str], set[str]]:
    """`--items '[1, 2]'` as `--items 1 --items 2`, where `--items` is one of `lists`; and the parameters whose list is empty."""
    rest, found, empty = list(args), list[str](), set[str]()
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if flag not in lists or not (equals or rest):
            found.append(word)
            continue
        items = _items(value if equals else rest.pop(0))
        found += [word for item in items for word in (flag, item)]
        empty |= set() if items else {lists[flag]}
    return found, empty


def _items(value: str) -> list[str]:
    """The items of a JSON list of plain values; what is none is an item itself."""
    try:
        read = json.loads(value) if value.lstrip().startswith("[") else None
    except ValueError:
        read = None
    if not isinstance(read, list) or any(isinstance(item, (list, dict)) for item in cast("list[object]", read)):
        return [value]
    return [item if isinstance(item, str) else json.dumps(item) for item in cast("list[object]", read)]


def _flag(name: str) -> str:
    return f"--{name.strip('_').replace('_', '-')}"


def _signature(raw: Callable[..., Any], hints: dict[str, Any], empty: Collection[str]) -> inspect.Signature:
    """Return the signature that typer reads: keyword-only parameters, each with the option that it becomes."""
    about = _parameter_help(raw)
    given = [p.replace(default=[]) if p.name in empty else p for p in inspect.signature(raw).parameters.values()]
    return inspect.Signature([_option(p, hints.get(p.name), about.get(p.name), raw) for p in given])


def _option(parameter: inspect.Parameter, hint: Any, about: str | None, raw: Callable[..., Any]) -> inspect.Parameter:
    if parameter.kind is parameter.VAR_KEYWORD:
        raise InvalidError(
            f"{raw.__name__}(**{parameter.name}) cannot be called from the command line: name its parameters"
        )
    if parameter.kind is parameter.VAR_POSITIONAL:
        argument = Annotated[
            list[hint if _is_plain(hint) else str] | None, typer.Argument(help=about, show_default=False)
        ]
        return inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=argument)
    option = typer.Option(help=about, show_default=parameter.default is not None)
    annotation = Annotated[_known_type(hint, parameter, raw), option]
    return inspect.Parameter(
        parameter.name, inspect.Parameter.KEYWORD_ONLY, default=parameter.default, annotation=annotation
    )


def _known_type(hint: Any, parameter: inspect.Parameter, raw: Callable[..., Any]) -> Any:
    """Return the type that the option is read as; without a hint that of the default, else a string."""
    if hint is None or _plain_type(hint) is Any:
        return _type_of(parameter.default)
    item, plain = _item_type(hint), _plain_type(hint)
    if not _is_plain(plain if item is None else item):
        shown = hint if get_origin(hint) else getattr(hint, "__name__", hint)
        raise InvalidError(
            f"parameter {parameter.name!r} of {raw.__name__} has type {shown}, which the command line cannot give: {_TAKEN}"
        )
    if item is None:
        return hint
    return list[item] if plain is hint else list[item] | None


def _type_of(default: object) -> Any:
    if isinstance(default, list):
        return list[str]
    return type(default) if isinstance(default, (bool, int, float)) else str


def _item_type(hint: Any) -> Any:
    """Of what a list is; None for what is no list."""
    plain = _plain_type(hint)
    kind = get_origin(plain) or plain
    if not any(kind is one for one in _LISTS):
        return None
    [item] = get_args(plain) or (str,)
    return str if item is Any else item


def _plain_type(hint: Any) -> Any:
    """A type without its `| None`."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    others = [one for one in get_args(hint) if one is not types.NoneType]
    return others[0] if len(others) == 1 else hint


def _is_plain(hint: Any) -> bool:
    """Whether one word can hold a value of it; or a pair, or a few, so many words."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is tuple:
        return bool(parts) and all(_is_plain(part) for part in parts)
    return kind in (*_WORDS, Literal) or (isinstance(kind, type) and issubclass(kind, (Enum, Path)))


def _summary(raw: Callable[..., Any]) -> str:
    return _ARGS.sub("", inspect.getdoc(raw) or "").strip()


def _parameter_help(raw: Callable[..., Any]) -> dict[str, str]:
    """Read the `Args:` section of a docstring."""
    section = _ARGS.search(inspect.getdoc(raw) or "")
    return {name: words.strip() for name, words in _ARG.findall(section[1])} if section else {}
