"""`freehold plan`: what a program would create, without a server."""

import json
from pathlib import Path

from tests.e2e.harness import MakeHome

PROGRAMS = Path(__file__).parent / "programs"


def test_a_plan_needs_no_server_and_runs_nothing(make_home: MakeHome) -> None:
    freehold = make_home()
    done = freehold("plan", "planned.py", cwd=PROGRAMS)
    assert done.returncode == 0, done.stderr
    for words in (
        "compat-planned",
        "train",
        "Model",
        "A10G",
        "pip_install numpy",
        "compat-weights:/w",
        "nowhere",
        "main",
    ):
        assert words in done.stdout
    assert "$0.400" in done.stdout  # two cores and two GiB
    assert not (freehold.home / "freehold.db").exists()


def test_a_plan_as_json_has_every_field(make_home: MakeHome) -> None:
    freehold = make_home()
    (freehold.home / "prices.toml").write_text("core = 1.0\ngib = 0.0\n")
    done = freehold("plan", "planned.py", "--json", cwd=PROGRAMS)
    found = json.loads(done.stdout)
    train, model = found["functions"]
    assert (train["name"], train["usd_hour"], train["min_instances"]) == ("train", 2.0, 1)
    assert found["usd_hour_at_rest"] == 2.0
    assert (model["methods"], model["endpoints"]) == (["predict", "web"], ["web"])
    assert [i["functions"] for i in found["images"]] == [["train", "Model"]]
