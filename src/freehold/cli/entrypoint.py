"""The command line of a user's function: its typed parameters become options, their help comes from its docstring."""

import asyncio
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_type_hints

import typer

from freehold.core.errors import InvalidError

_ARGS = re.compile(r"^\s*(?:Args|Arguments|Parameters):\s*\n((?:\s+.*(?:\n|$)|\s*\n)+)", re.MULTILINE)
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

    signature = _signature(raw)
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


def _signature(raw: Callable[..., Any]) -> inspect.Signature:
    """Return the signature that typer reads: keyword-only parameters, each with the option that it becomes."""
    hints, about = get_type_hints(raw), _parameter_help(raw)
    parameters = [
        _option(p, hints.get(p.name), about.get(p.name), raw) for p in inspect.signature(raw).parameters.values()
    ]
    return inspect.Signature(parameters)


def _option(parameter: inspect.Parameter, hint: Any, about: str | None, raw: Callable[..., Any]) -> inspect.Parameter:
    if parameter.kind is parameter.VAR_KEYWORD:
        raise InvalidError(
            f"{raw.__name__}(**{parameter.name}) cannot be called from the command line: name its parameters"
        )
    if parameter.kind is parameter.VAR_POSITIONAL:
        argument = Annotated[list[hint or str] | None, typer.Argument(help=about, show_default=False)]
        return inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=argument)
    option = typer.Option(help=about, show_default=parameter.default is not None)
    annotation = Annotated[_known_type(hint, parameter, raw), option]
    return inspect.Parameter(
        parameter.name, inspect.Parameter.KEYWORD_ONLY, default=parameter.default, annotation=annotation
    )


def _known_type(hint: Any, parameter: inspect.Parameter, raw: Callable[..., Any]) -> Any:
    """Return the type that the option is read as; without a hint that of the default, else a string."""
    if hint in (None, Any):
        default = parameter.default
        return type(default) if isinstance(default, (bool, int, float)) else str
    if hint in (bytes, dict, set, tuple, object) or getattr(hint, "__origin__", None) in (dict, set):
        raise InvalidError(
            f"parameter {parameter.name!r} of {raw.__name__} has type {getattr(hint, '__name__', hint)}, which the command line "
            f"cannot give: take str, int, float, bool, datetime, Path, an Enum, Literal, or a list of one of them"
        )
    return hint


def _summary(raw: Callable[..., Any]) -> str:
    return _ARGS.sub("", inspect.getdoc(raw) or "").strip()


def _parameter_help(raw: Callable[..., Any]) -> dict[str, str]:
    """Read the `Args:` section of a docstring."""
    section = _ARGS.search(inspect.getdoc(raw) or "")
    return {name: words.strip() for name, words in _ARG.findall(section[1])} if section else {}
