"""The quickstart, typed as it is printed."""

import itertools
import re
import subprocess
from pathlib import Path

import httpx
from tests.e2e.harness import Freehold

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "quickstart.md"


def _programs() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", _PAGE.read_text(), re.DOTALL | re.MULTILINE)


def _curl(line: str) -> httpx.Response:
    """What a curl command with -H and -d would do, where there is no curl."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{line}"
    words = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    given = {flag: [v for f, v in itertools.pairwise(words) if f == flag] for flag in ("-H", "-d")}
    headers = dict(header.split(": ", 1) for header in given["-H"])
    return httpx.post(words[-1], headers=headers, content=given["-d"][0], timeout=60)


def test_the_quickstart_works_as_printed(server: Freehold, tmp_path: Path) -> None:
    run, serve, elsewhere = _programs()
    (tmp_path / "hello.py").write_text(run)
    said = server("run", "hello.py", "--x", "12", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert {"144", "328350", "squaring 12"} <= set(said.stdout.splitlines())
    assert "--x" in server("run", "hello.py", "--help", cwd=tmp_path).stdout

    (tmp_path / "hello.py").write_text(f"{run}\n\n{serve}")
    assert server("deploy", "hello.py", cwd=tmp_path).returncode == 0
    functions = server.json("app", "show", "hello")["functions"]
    url = next(url for f in functions for url in f["endpoints"].values())
    assert httpx.get(url, params={"name": "you"}, timeout=60).json() == {"hello": "you"}

    (tmp_path / "elsewhere.py").write_text(elsewhere.replace("freehold.F", "print(freehold.F", 1).rstrip() + ")\n")
    python = server.command()[0]
    asked = subprocess.run([python, "elsewhere.py"], cwd=tmp_path, env=server.env, capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert asked.stdout == "49\n", asked.stderr

    curl = re.search(r"^curl -H .*?square/call$", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert curl is not None
    line = curl[0].replace("~/.freehold", str(server.home)).replace("http://127.0.0.1:8700", server.url)
    assert _curl(line).json()["result"] == 49
    server.ok("app", "stop", "hello", "--yes")
