"""S3 and S5: what the server does with bytes and names of others, watched by an audit hook in the server's own process."""

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.harness import Freehold, MakeHome
from tests.e2e.security.raw import ROUTES, as_owner, ask, call_of, dial

from freehold.core.ids import new_id
from freehold.launchers.process.held import _JOIN
from freehold.launchers.process.jail import _HOLDS
from freehold.protocol.frames import Buffer, Consumed, Extend, Hello, Input, Payload, Release, Submit, Subscribe
from freehold.protocol.version import PROTOCOL_VERSION

MARK = "c4n4ry"
# An audit hook cannot be taken out again: it watches a process from its first line to its last. uvloop starts processes without
# an event, so asyncio's own way to them is watched too.
HOOK = """
import asyncio, json, os, pickle, sys
_out = os.open(os.environ["AUDIT_OUT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def _note(event, *args):
    os.write(_out, (json.dumps([os.getpid(), event, *args], default=repr) + "\\n").encode())
def _hook(event, args):
    if event == "pickle.find_class":
        _note(event, *args)
    elif event == "subprocess.Popen":
        _note(event, [os.fsdecode(a) for a in args[1]])
    elif event in ("os.system", "os.exec", "os.posix_spawn"):
        _note(event, repr(args))
sys.addaudithook(_hook)
pickle.loads(pickle.dumps(pickle.PickleError))  # one that it has to see
_real = asyncio.create_subprocess_exec
async def _exec(*argv, **more):
    _note("asyncio.exec", [os.fsdecode(a) for a in argv])
    return await _real(*argv, **more)
asyncio.create_subprocess_exec = _exec
"""
CLIENT = """
import freehold, os, socket, struct, subprocess, msgspec
from freehold.protocol import frames as f
from freehold.protocol.version import PROTOCOL_VERSION

class Canary:
    def __reduce__(self): return (str, ("opened",))

class CanaryError(Exception):
    def __reduce__(self): return (ValueError, (Canary(),))

app = freehold.App("canary")

@app.function(serialized=True)
def echo(x): return x

@app.function(serialized=True)
def fail(): raise CanaryError

@app.function(serialized=True)
def stream():
    yield Canary()

@app.function(serialized=True, max_containers=1)
def rogue(canary):
    "Speak on a link of its own, in the name of its instance."
    link = socket.socket(socket.AF_UNIX)
    link.connect(os.environ["FREEHOLD_LINK"].removeprefix("unix:"))
    def send(*messages):
        data = msgspec.msgpack.encode(list(messages))
        link.sendall(struct.pack("<I", len(data)) + data)
    call = freehold.current_function_call_id()
    failure = f.RemoteFailure("x", "y", "z", "aborted", canary)
    send(f.Join(os.environ["FREEHOLD_TOKEN"], PROTOCOL_VERSION, os.environ["FREEHOLD_INSTANCE_ID"], os.getpid()))
    for data in (canary, msgspec.msgpack.encode(failure)):
        payload = f.Payload(data, f.Format.PICKLE, (f.Buffer("inline", canary),))
        for status in (4, 2, 1, 3, 0):
            send(f.Item(call, 0, 1, 0, payload), f.Result(call, 0, 1, status, payload, 0.0, 0.0))
    send(f.Ready(1, {}, {}), f.StartFailed("enter", failure), f.Beat([(call, 0, 1)]))
    link.recv(1)

shared = freehold.Dict.from_name("canary", create_if_missing=True)
shared.update({("key", 1): Canary(), "large": [Canary(), b"x" * 1_000_000]})
assert shared[("key", 1)] == "opened" and shared.pop("large")[0] == "opened" and len(list(shared.items())) == 1
with freehold.Queue.ephemeral() as queue:
    queue.put(Canary(), partition="canary")
    assert list(queue.iterate(partition="canary")) == [queue.get(partition="canary")] == ["opened"]

with app.run():
    assert echo.remote(Canary()) == "opened"
    assert echo.spawn(Canary()).get() == "opened"
    assert list(echo.map([Canary()])) == ["opened"]
    assert list(stream.remote_gen()) == ["opened"]
    for call in (fail.remote, lambda: rogue.remote(bytes.fromhex(os.environ["CANARY"]))):
        try: call()
        except Exception as error: print(type(error).__name__)
"""


class Canary:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return subprocess.check_call, (f"touch /tmp/{MARK}",)


class Watched:
    """A server and what its hook saw."""

    def __init__(self, home: Freehold, out: Path) -> None:
        self.home, self._out = home, out
        self._pid = json.loads((home.home / "server.json").read_text())["pid"]

    def events(self, kind: str) -> list[list[Any]]:
        """Those of this kind in the server's own process."""
        found = [json.loads(line) for line in self._out.read_text().splitlines()]
        return [args for pid, event, *args in found if pid == self._pid and event.startswith(kind)]

    def commands(self) -> list[list[str]]:
        """Everything that it started, as the words of the command."""
        assert not self.events("os."), "a way that takes a shell, or replaces the server"
        return [argv for kind in ("subprocess.Popen", "asyncio.exec") for (argv,) in self.events(kind)]


@pytest.fixture(scope="module")
def watched(make_home: MakeHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("audit")
    (folder / "sitecustomize.py").write_text(HOOK)
    home = make_home(PYTHONPATH=":".join([str(folder), *sys.path]), AUDIT_OUT=str(folder / "events"))
    (home.home / "images").unlink()  # none that other tests have made: the hook has to see one being built
    home.ok("up", "--detach")
    yield Watched(home, folder / "events")
    home.ok("down")


def test_s3_the_server_unpickles_nothing(watched: Watched) -> None:
    home, canary = watched.home, pickle.dumps(Canary())
    home.ok("deploy", "counter.py")
    # through the front door: arguments, results, items, errors, and an instance that speaks out of turn
    done = subprocess.run(
        [sys.executable, "-c", CLIENT], env=home.env | {"CANARY": canary.hex()}, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    # as bytes in every place that takes bytes
    for key in ROUTES:
        if key != "POST /v1/shutdown" and not key.startswith("WS"):
            for kind in ("application/json", "application/python-pickle", "application/octet-stream"):
                shown = as_owner(home) | {"Content-Type": kind, "X-Canary": canary.hex()}
                assert ask(home, *call_of(key, "%80%05canary."), shown, canary).status < 500, key
    # and in every field of every frame
    handle = json.loads(
        ask(home, "GET", "/v1/functions/e2e-counter/Counter", as_owner(home)).text.partition("\r\n\r\n")[2]
    )
    payload = Payload(canary, 0, (Buffer("inline", canary),))
    for parameters in (b"", canary):
        with dial(home) as link:
            link.send(Hello(home.token, PROTOCOL_VERSION, canary.hex()))
            assert link.receive()
            call = new_id("fc")
            link.send(Submit(call, handle["id"], "spawn", [Input(0, payload, "add")], more=True, parameters=parameters, parent=canary.hex()))  # fmt: skip
            assert link.receive()
            link.send(
                Extend(call, [Input(1, payload, "add")]), Subscribe(call), Consumed(call, 1), Release([canary.hex()])
            )
            assert link.receive()
    home.ok("call", "list")
    assert watched.events("pickle.") == [["_pickle", "PickleError"]], "the server opened a pickle, or its hook is blind"
    assert not Path(f"/tmp/{MARK}").exists()


EVIL = f"$(touch /tmp/{MARK});`touch /tmp/{MARK}`'\"|--{MARK}"
DEPLOY = f"""
import freehold, sys
evil = sys.argv[1]
app = freehold.App("{MARK}")
image = freehold.Image.debian_slim().env({{"{MARK}": evil}}).workdir("/w/" + evil.replace("/", "_"))
@app.function(
    name="{MARK}", image=image, serialized=True, env={{"{MARK}_OF_FUNCTION": evil}}, secrets=[freehold.Secret.from_dict({{"{MARK}_OF_SECRET": evil}})],
    volumes={{"/mnt/{MARK} " + evil.replace("/", "_"): freehold.Volume.from_name("{MARK}", create_if_missing=True)}},
)
def tell(x): return x
app.deploy()
assert freehold.Function.from_name("{MARK}", "{MARK}").remote(evil) == evil
"""


def test_s5_no_command_is_made_from_a_request(watched: Watched, tmp_path: Path) -> None:
    home = watched.home
    done = subprocess.run(
        [sys.executable, "-c", DEPLOY, EVIL], env=home.env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (instance,) = [c["id"] for c in home.json("container", "list") if c["app"] == MARK]
    assert (
        home.ok("container", "exec", instance, "echo", EVIL) == f"{EVIL}\n"
    )  # the server asks for it, and starts nothing
    bodies = [
        json.dumps(body).encode()
        for body in ({"args": [EVIL]}, {"values": {MARK: EVIL}}, {"digests": [EVIL]}, {"token": EVIL})
    ]
    for key in ROUTES:
        if key != "POST /v1/shutdown" and not key.startswith("WS"):
            for word in (MARK, f"$(touch%20/tmp/{MARK});{MARK}"):
                for body in bodies if not key.startswith("GET") else [b""]:
                    assert ask(home, *call_of(key, word), as_owner(home) | {"X-Request-Id": MARK}, body).status < 500, (
                        key
                    )
    commands = watched.commands()
    assert any("freehold.runner.parent" in argv for argv in commands), "the hook saw no instance start"
    assert any("venv" in argv for argv in commands), "the hook saw no image being built"
    # of what a request says, only where a volume and the working directory lie is a word of a command: a path, whole, of bubblewrap
    for argv in [argv for argv in commands if any(MARK in word for word in argv)]:
        assert argv[0].endswith("bwrap")
        assert all(word.startswith("/") for word in argv if MARK in word)
    # what a shell or Python is given to run is ours, and the same for everyone
    code = [argv[argv.index("-c") + 1] for argv in commands if "-c" in argv and not argv[0].endswith("slirp4netns")]
    assert set(code) <= {"exit 0", "import venv, ctypes", "echo up; exec cat", _HOLDS, _JOIN}
    assert not Path(f"/tmp/{MARK}").exists()
