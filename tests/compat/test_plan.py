"""`freehold plan`: what a program would create, without a server."""

import json
from dataclasses import replace

import pytest
from tests.e2e.harness import MakeHome


def test_a_plan_needs_no_server_and_runs_nothing(make_home: MakeHome) -> None:
    freehold = make_home()
    done = freehold("plan", "planned.py")
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
    done = freehold("plan", "planned.py", "--json")
    found = json.loads(done.stdout)
    train, model = found["functions"]
    assert (train["name"], train["usd_hour"], train["min_instances"]) == ("train", 2.0, 1)
    assert found["usd_hour_at_rest"] == 2.0
    assert (model["methods"], model["endpoints"]) == (["predict", "web"], ["web"])
    assert [i["functions"] for i in found["images"]] == [["train", "Model"]]


def test_a_plan_of_a_program_that_deploys_as_it_is_loaded_has_no_effects(make_home: MakeHome) -> None:
    freehold = make_home()
    done = freehold("plan", "planned_effects.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "compat-effects" in done.stdout
    assert "work" in done.stdout
    assert not (freehold.home / "freehold.db").exists()


@pytest.mark.parametrize("asks", ["remote", "other", "map", "sandbox", "run", "queue", "logs", "volume"])
def test_a_plan_ends_where_a_program_would_need_a_server(make_home: MakeHome, asks: str) -> None:
    freehold = replace(make_home(), extra=(("COMPAT_ASKS", asks),))
    done = freehold("plan", "planned_effects.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "work" in done.stdout
    lines = (freehold.programs / "planned_effects.py").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text == f'if asks == "{asks}":') + 1
    assert f"read up to  line {line}, where " in done.stdout
    assert "a plan runs nothing" in done.stdout
