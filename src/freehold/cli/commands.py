"""`modal` and `freehold` as commands for what a program runs here: both this installation, whichever others PATH has."""

import os
import shlex
import sys
from pathlib import Path

from freehold.core.home import Home, make_private

_NAMES = ("freehold", "modal")


def front(home: Home) -> None:
    """Put the folder of the commands before all others in this process's PATH; what it starts has it too."""
    make_private(home.root)
    home.commands.mkdir(exist_ok=True)
    for name in _NAMES:
        _write(home.commands / name)
    folder = str(home.commands)
    others = [f for f in os.environ.get("PATH", os.defpath).split(os.pathsep) if f != folder]
    os.environ["PATH"] = os.pathsep.join([folder, *others])


def _write(path: Path) -> None:
    text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m freehold.cli.main "$@"\n'
    if path.is_file() and path.read_text() == text:
        return
    fresh = path.with_name(f".{path.name}-{os.urandom(4).hex()}")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(path)  # another program may be running it
