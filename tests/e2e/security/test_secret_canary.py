"""S9: a secret's value is in no log, error, page, metric, process list or file, whatever goes wrong around it."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from tests.e2e.harness import Freehold, MakeHome
from tests.e2e.reliability.chaos import kill, pids
from tests.e2e.security.raw import ROUTES, as_owner, ask, call_of, files_of

VALUE = f"c4n4ry-{secrets.token_hex(12)}"
PROGRAM = """
import freehold, os, subprocess, sys, time
app = freehold.App("keeper")
kept = [freehold.Secret.from_name("kept"), freehold.Secret.from_dict({"INLINE": os.environ.get("VALUE", "")})]

def known():
    assert os.environ["KEPT"] == os.environ["INLINE"] and os.environ["KEPT"].startswith("c4n4ry")

shown = "echo $KEPT; test $KEPT = $INLINE"
image = freehold.Image.debian_slim().run_function(known, secrets=kept).run_commands(shown, secrets=kept)
image = image.dockerfile_commands("RUN " + shown, secrets=kept)
login = freehold.Image.from_registry("registry.example.com/x", secret=kept[1])
private = freehold.Image.debian_slim().pip_install("git+https://me:$KEPT@localhost:1/x", secrets=kept)
failing = freehold.Image.debian_slim().run_commands("echo $KEPT $INLINE >&2; exit 5", secrets=kept)

@app.function(serialized=True, image=image, secrets=kept, timeout=1, startup_timeout=20)
def go_wrong(how):
    known()
    if how == "raise": raise ValueError("without a value in it")
    if how == "exit": sys.exit(3)
    if how == "die": os.kill(os.getpid(), 9)
    if how == "late": time.sleep(30)
    if how == "child": subprocess.run(["sh", "-c", "exit 4"], check=True)
    return object() if how == "odd" else how

@app.function(serialized=True, secrets=kept)
def nap():
    known()
    time.sleep(3600)

with app.run():
    for how in ("raise", "exit", "die", "late", "child", "odd"):
        try: go_wrong.remote(how)
        except BaseException as error: print(how, type(error).__name__, error)
    for wrong in ({"secrets": [*kept, freehold.Secret.from_name("missing")]}, {"image": failing}, {"image": login}, {"image": private}):
        other = freehold.App("other")
        other.function(serialized=True, **({"secrets": kept} | wrong))(known)
        try:
            with other.run(): pass
        except Exception as error: print(type(error).__name__, error)
    nap.spawn()
    print("napping", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(make_home: MakeHome) -> Iterator[Freehold]:
    home = make_home(FREEHOLD_LOG_LEVEL="debug")
    home.ok("up", "--detach")
    yield home
    home.ok("down")


def refused_puts(home: Freehold) -> str:
    """What the server says to bodies that hold the value and are wrong."""
    bodies = (
        {"values": {"KEPT": VALUE}}, {"values": {"bad key": VALUE}}, {"values": {"K": [VALUE]}}, {"values": VALUE}, {"value": {"K": VALUE}},
        {"values": {"K": VALUE + "\0"}}, {"values": {"K": VALUE * 9000}}, [VALUE],
    )  # fmt: skip
    texts = [ask(home, "PUT", "/v1/secrets/kept", as_owner(home), json.dumps(body).encode()) for body in bodies]
    assert all(400 <= answer.status < 500 for answer in texts)
    broken = ask(home, "PUT", "/v1/secrets/kept", as_owner(home), f'{{"values": {{"K": "{VALUE}"'.encode())
    return "".join(answer.text for answer in [*texts, broken])


def process_list() -> str:
    found: list[str] = []
    for process in psutil.process_iter(["cmdline", "name"]):
        found += [process.info["name"] or "", *(process.info["cmdline"] or [])]
    return "\n".join(found)


def everything_shown(home: Freehold) -> str:
    """All that the API, the dashboard, the metrics and the command line show."""
    words = ("keeper", *(row["id"] for kind in ("call", "instance") for row in home.json(kind, "list")))
    listed = ask(home, "GET", "/v1/images", as_owner(home)).text.partition("\r\n\r\n")[2]
    words = (*words, *(row["digest"] for row in json.loads(listed)))
    asked = {call_of(key, word) for key in ROUTES if key.startswith("GET") for word in (words if "{" in key else "x")}
    commands = (["secret", "list"], ["config", "show"], ["app", "logs", "keeper"], ["call", "list"], ["status"])
    pages = [ask(home, *call, as_owner(home)).text for call in sorted(asked)]
    return "".join([*pages, *(home(*command).stdout for command in commands)])


@pytest.mark.slow
def test_s9_a_secret_is_nowhere_to_be_found(home: Freehold) -> None:
    stored = ask(home, "PUT", "/v1/secrets/kept", as_owner(home), json.dumps({"values": {"KEPT": VALUE}}).encode())
    assert stored.status < 300
    said = stored.text + refused_puts(home)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=home.env | {"VALUE": VALUE}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as program:  # fmt: skip
        assert program.stdout is not None
        for line in program.stdout:
            said += line
            if line == "napping\n":
                break
        said += everything_shown(home) + process_list()
        for pid in pids(home).values():
            kill(pid)
        os.kill(json.loads((home.home / "server.json").read_text())["pid"], signal.SIGKILL)
        home.ok("up", "--detach")
        said += everything_shown(home) + process_list() + program.communicate(timeout=60)[0]
    for fault in (
        "ValueError without a value",
        "InstanceDiedError",
        "FunctionTimeoutError",
        "ImageBuildError step 1 of 1, run_commands",
        "ImageBuildError step 1 of 1 of the recipe",
        "ImageBuildError step 1 of 1, pip_install",
        "NotFoundError",
        "napping",
    ):
        assert fault in said
    assert VALUE not in said
    assert [path for path, content in files_of(home) if VALUE.encode() in content] == []
