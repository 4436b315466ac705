"""Environments: the same names, apart from each other."""

import subprocess

from tests.e2e.harness import Freehold

ASK = "import freehold; print(freehold.Function.from_name('compat-chatter', 'talk').remote(4))"
ASK_BY_NAME = ASK.replace("'talk'", "'talk', environment_name='compat-dev'")


def test_the_same_names_live_apart_in_two_environments(server: Freehold) -> None:
    server.ok("environment", "create", "compat-dev")
    assert [e["name"] for e in server.json("environment", "list")] == ["main", "compat-dev"]
    server.ok("secret", "create", "compat-apart", "A=1", "-e", "compat-dev")
    server.ok("volume", "create", "compat-apart", "--env", "compat-dev")
    assert "compat-apart" not in [s["name"] for s in server.json("secret", "list")]
    assert "compat-apart" in [v["name"] for v in server.json("volume", "list", "--env", "compat-dev")]
    assert server("deploy", "-e", "compat-dev", "chatter.py").returncode == 0
    assert "compat-chatter" not in [a["name"] for a in server.json("app", "list")]
    assert "compat-chatter" in [a["name"] for a in server.json("app", "list", "-e", "compat-dev")]
    assert server("python", "-c", ASK).returncode != 0
    assert server("python", "-c", ASK_BY_NAME).stdout == "4\n"
    inner = "import freehold, sys; sys.path.insert(0, '.'); import chatter; chatter.app.deploy(environment_name='compat-dev'); print(chatter.talk.remote(5))"
    assert server("python", "-c", "from freehold.modal import alias; alias.install(); " + inner).stdout == "5\n"
    env = server.env | {"MODAL_ENVIRONMENT": "compat-dev"}
    done = subprocess.run(server.command("python", "-c", ASK), env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "4\n", done.stderr
    server.ok("environment", "delete", "compat-dev", "--yes")
    assert [e["name"] for e in server.json("environment", "list")] == ["main"]
    assert server("app", "list", "-e", "compat-dev").returncode == 4


def test_what_cannot_be_an_environment_is_refused(server: Freehold) -> None:
    wrong = server("environment", "create", "a.b")
    assert (wrong.returncode, "'a.b' cannot name an environment" in wrong.stderr) == (2, True)
    missing = server("run", "--env", "compat-nowhere", "chatter.py")
    assert missing.returncode == 4
    assert "no environment 'compat-nowhere'" in missing.stderr
    assert server("environment", "delete", "main", "--yes").returncode == 2
    assert server("environment", "create", "main").returncode == 6


def test_a_program_knows_its_workspace_and_environment(server: Freehold) -> None:
    assert server.lines("run", "workspace.py") == [
        "main main main",
        "['main', 'compat-made'] Environment('compat-made')",
        "Environment('compat-made')",
        "no environment 'compat-made'; there are main",
    ]
