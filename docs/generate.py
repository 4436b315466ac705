"""Writes docs/reference/{cli,settings,http}.md from the code; with `--check` only tells whether they are fresh."""

import re
import sys
from pathlib import Path
from typing import Any

from freehold.cli.errors import ExitCode
from freehold.cli.main import COMMANDS, load
from freehold.server.api.auth import TABLE
from freehold.server.settings import Settings

HERE = Path(__file__).resolve().parent / "reference"
_NOTE = "<!-- Written by `make docs`; do not edit. -->\n"
_EXIT = {
    "OK": "done", "PROGRAM": "the user's program failed", "USAGE": "wrong usage, or an invalid program or setting",
    "CONNECTION": "no server, or the connection broke, or another version", "NOT_FOUND": "no such thing",
    "AUTH": "the token is missing, stale, or may not do this", "CONFLICT": "in conflict with what is there",
    "EXHAUSTED": "not enough of something: memory, a GPU, disk, a queue", "TIMEOUT": "a deadline passed",
    "SERVER": "the server failed, or cannot do this", "INTERRUPTED": "interrupted",
}  # fmt: skip


def main() -> int:
    stale = [name for name, text in pages().items() if not _write(HERE / name, text, check="--check" in sys.argv)]
    for name in stale:
        print(f"docs/reference/{name} is not fresh: run `make docs`")
    return 1 if stale else 0


def pages() -> dict[str, str]:
    return {"cli.md": cli(), "settings.md": settings(), "http.md": http()}


def cli() -> str:
    parts = [_NOTE, "# Command line\n\n`--json` prints every field of a listing; `--help` works on every command.\n"]
    parts.append(
        "## Exit codes\n\n| code | means |\n|---|---|\n"
        + "".join(f"| {c.value} | {_EXIT[c.name]} |\n" for c in ExitCode)
    )
    for name, entry in COMMANDS.items():
        command = load(name)
        subcommands: dict[str, Any] = getattr(command, "commands", {})
        parts.append(f"## freehold {name}\n\n{_text(command.help or entry.summary)}\n")
        if not subcommands:
            parts.append(_parameters(f"freehold {name}", command))
        parts.extend(
            f"### freehold {name} {sub}\n\n{_text(c.help or '')}\n\n{_parameters(f'freehold {name} {sub}', c)}"
            for sub, c in subcommands.items()
        )
    return "\n".join(parts)


def settings() -> str:
    rows = [
        f"| `{name}` | `FREEHOLD_{name.upper()}` | {_default(field)} | {field.description or ''} |"
        for name, field in Settings.model_fields.items()
    ]
    return (
        f"{_NOTE}\n# Settings\n\nFlags of `freehold up` stand over the environment, that over `freehold.toml` in the home, that over the defaults.\n"
        "An unknown key is an error. `freehold config show` prints each value and where it came from.\n\n"
        "| key | environment | default | is |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        "Clients read `FREEHOLD_SERVER` (the URL of a server elsewhere) and `FREEHOLD_TOKEN` (its token); without them they use the\n"
        "server of the home.\n"
    )


def http() -> str:
    rows = [
        f"| `{route.partition(' ')[0]}` | `{route.partition(' ')[2]}` | {access} |" for route, access in TABLE.items()
    ]
    return (
        f"{_NOTE}\n# HTTP API\n\nRequests carry `Authorization: Bearer TOKEN`. A running server describes bodies and answers at `/docs`, the functions\n"
        "that are deployed among them.\n\n| method | path | open to |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
        "`public`: anybody; `local`: anybody while the server listens on loopback only; `client`: the token, a session, an instance;\n"
        "`admin`: the token or a session. A route that is not in this table does not exist.\n"
    )


def _parameters(usage: str, command: Any) -> str:
    rows: list[str] = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        argument = parameter.param_type_name == "argument"
        name = (
            (parameter.metavar or parameter.name)
            if argument
            else ", ".join([*parameter.opts, *parameter.secondary_opts])
        )
        rows.append(f"| `{name}` | {_text(getattr(parameter, 'help', None) or '')} |")
    arguments = " ".join(p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument")
    table = "\n| | |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    return f"`{f'{usage} [OPTIONS] {arguments}'.rstrip()}`\n{table}"


def _text(help_text: str) -> str:
    plain = re.sub(r"\[/?bold\]", "`", help_text).replace("\\[", "[")
    return plain.strip().replace("|", "\\|")


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return "`~/.freehold`"
    return "" if field.default is None else f"`{field.default}`"


def _write(path: Path, text: str, *, check: bool) -> bool:
    """Write the page; with `check` tell whether it is as it should be."""
    if check:
        return path.exists() and path.read_text() == text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


if __name__ == "__main__":
    sys.exit(main())
