"""Times the command line from keystroke to last line: `run` of a small program on a warm server, `plan` of one with 50 functions.

    python -m benchmarks.commands [--runs 15]

Beside them, the lower bounds: an interpreter that does nothing, and one that imports what the command line is made with.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Row
from benchmarks.server import FREEHOLD, Server

HELLO = Path(__file__).parent / "programs" / "hello.py"
_FUNCTIONS = 50
ROWS = (
    Row("nothing", "an interpreter that does nothing", "s"),
    Row("imports", "one that imports typer, rich and freehold's App", "s"),
    Row("version", "freehold --version", "s"),
    Row("run", "freehold run hello.py, from the command to its end", "s", aim=0.6),
    Row("plan", f"freehold plan of {_FUNCTIONS} functions", "s"),
    Row("plan_beyond", "the same beyond the import of the program", "s", aim=0.5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="how often each is run; the medians are shown")
    parser.add_argument("--json", type=Path, help="write all times to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wide = _wide(Path(folder))
        figures = _measure(wide, given.runs)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    _show({key: statistics.median(times) for key, times in figures.items()}, given.runs)


def _measure(wide: Path, runs: int) -> dict[str, list[float]]:
    server = Server()
    server.start()
    try:
        _timed([str(FREEHOLD), "run", str(HELLO)])  # builds the image, if this is the first time
        commands = {
            "nothing": [sys.executable, "-c", "pass"],
            "imports": [sys.executable, "-c", "import typer, rich.console, freehold; freehold.App"],
            "version": [str(FREEHOLD), "--version"],
            "run": [str(FREEHOLD), "run", str(HELLO)],
            "plan": [str(FREEHOLD), "plan", str(wide)],
            "program": [sys.executable, str(wide)],
        }
        figures: dict[str, list[float]] = {key: [] for key in commands}
        for _ in range(runs):  # in turns, so that a noisy moment falls on all
            for key, command in commands.items():
                figures[key].append(_timed(command))
    finally:
        server.stop()
    program = figures.pop("program")
    figures["plan_beyond"] = [a - b for a, b in zip(figures["plan"], program, strict=True)]
    return figures


def _timed(command: Sequence[str]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"})
    took = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return took


def _wide(folder: Path) -> Path:
    """A program with many functions, each with options of its own."""
    lines = [
        "import freehold",
        "app = freehold.App('bench-wide')",
        "image = freehold.Image.debian_slim().uv_pip_install('numpy')",
    ]
    for n in range(_FUNCTIONS):
        lines += [
            f"@app.function(image=image, cpu={1 + n % 4}, memory={256 * (1 + n % 8)}, timeout={60 + n})",
            f"def work_{n}(x: int) -> int:",
            "    return x",
        ]
    file = folder / "wide.py"
    file.write_text("\n".join([*lines, ""]))
    return file


def _show(medians: dict[str, float], runs: int) -> None:
    print(f"medians of {runs} runs, in seconds; x: as often as an interpreter that does nothing")
    for row in ROWS:
        value = medians[row.key]
        verdict = {True: "met", False: "MISSED", None: ""}[row.met(value)]
        aim = "" if row.aim is None else f"<= {row.aim:g}"
        print(f"{row.title:52} {value:7.3f}  x{value / medians['nothing']:5.1f}  {aim:8} {verdict}")


if __name__ == "__main__":
    main()
