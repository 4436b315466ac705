"""What functions can do at run time."""

import os
import signal

import pytest
from tests.e2e.harness import Freehold, MakeHome


def test_overrides_run_in_instances_of_their_own(server: Freehold) -> None:
    assert server.lines("run", "-q", "with_options.py::main") == [
        "plain (('base', None, None), False)",
        "varied ((None, 'env', 'sealed'), True) True",
        "equal overrides share a pool True",
        "passed on ((None, 'env', 'sealed'), True)",
        "class (11, 'a') (12, 'a') (11, None)",
        "pools 3",
        "InvalidError where.with_options: timeout=0.01 is not a number of seconds between 1 and 604800",
    ]
    server.ok("volume", "delete", "compat-with-options", "--yes")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("secret", "there is no secret 'compat-no-such-secret'"),
        ("volume", "no volume 'compat-no-such-volume'"),
        ("gpu", "function 'where': gpu='H100': this machine has no GPU"),
    ],
)
def test_overrides_are_admitted_as_a_deployment_is(server: Freehold, what: str, said: str) -> None:
    done = server("run", "-q", "with_options.py::refused", "--what", what)
    assert done.returncode != 0
    assert said in done.stderr
    assert "freehold/sdk" not in done.stderr


def test_concurrency_and_batching_can_be_overridden(server: Freehold) -> None:
    assert server.lines("run", "-q", "with_concurrency.py") == [
        "together [True, True, True, True]",
        "doubled [0, 2, 4, 6, 8, 10, 12, 14] 8",
        "batches True 1",
        "max_inputs=0 is not a whole number between 1 and 1000",
    ]


def test_a_pool_is_scaled_and_looked_at_while_it_runs(server: Freehold) -> None:
    done = server("run", "-q", "autoscaler.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "FunctionAutoscalerSettings(min_containers=0, max_containers=3, scaledown_window=60, buffer_containers=0)",
        "FunctionCurrentStats(backlog=0, num_total_runners=0, num_running_inputs=0, input_headroom=0)",
        "FunctionAutoscalerSettings(min_containers=1, max_containers=3, scaledown_window=20, buffer_containers=0)",
        "warm True",
        "None",
        "busy True FunctionCurrentStats(backlog=2, num_total_runners=1, num_running_inputs=1, input_headroom=0)",
        "1 0",
        "2 True",
        "min_containers=5 is more than max_containers=1",
        "scaledown_window=1 is not a number of seconds between 2 and 3600",
        "'Model.run' is a method, and its object scales: write Model(...).update_autoscaler(...)",
    ]
    assert "keep_warm(0) is now update_autoscaler(min_containers=0)" in done.stderr


def test_what_was_deployed_is_called_by_name_version_and_id(server: Freehold) -> None:
    assert server("deploy", "from_name.py").returncode == 0
    done = server("run", "-q", "callers.py::main")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "plain deployed None | varied deployed other",
        "6 8 1",
        "by id deployed None",
        "version 1 deployed None",
        "77 0.25 (128, 256) None",
        *[("NotFoundError app 'compat-from-name' runs version 1, and version 7 cannot be called: leave version= out, or bring "
          "an earlier one back: `freehold app history compat-from-name` lists them, `freehold app rollback compat-from-name VERSION` does it")] * 2,
        "NotFoundError app 'compat-from-name' has no function 'ecko'; did you mean 'echo'?",
        "InvalidError version=0 is no version of an app: those are counted from 1",
        "looked up deployed None 2",
        "True",
        "True stdout True",
    ]  # fmt: skip
    for new in ("modal.Function.from_name(...)", "modal.Cls.from_name(...)", "Function.get_web_url()"):
        assert new in done.stderr, new


def test_apps_are_looked_up_made_tagged_and_stopped(server: Freehold) -> None:
    assert server("deploy", "from_name.py").returncode == 0
    assert server.lines("run", "-q", "callers.py::apps") == [
        "compat-from-name True deployed ['Adder', 'echo', 'page']",
        "{'team': 'ocr'}",
        "{'team': 'web'} True",
        "True deployed {} True",
        "stopped",
        (
            "NotFoundError app 'compat-made' is not deployed: its newest one is stopped; deploy it, or make an empty one with "
            "App.lookup('compat-made', create_if_missing=True)"
        ),
        "NotFoundError no app 'compat-mad'; did you mean 'compat-made'?",
        "InvalidError App.lookup('ID', create_if_missing=True): that is an id, and only an app with a name can be created",
        "InvalidError App('never-run').get_tags: it has not been run or deployed yet; a deployed one is App.lookup('never-run')",
    ]
    server.ok("app", "stop", "compat-from-name", "--yes")


def test_what_was_changed_outlives_the_server_and_ends_with_the_next_deployment(make_home: MakeHome) -> None:
    home = make_home()
    assert home("up", "--detach").returncode == 0
    assert home("deploy", "changed.py::app").returncode == 0
    changed = home("run", "-q", "changed.py::client.change")
    assert changed.returncode == 0, changed.stderr
    call = changed.stdout.strip()
    os.kill(home.json("status")["pid"], signal.SIGKILL)
    assert home("up", "--detach").returncode == 0
    assert home("run", "-q", "changed.py::client.look", "--call", call).stdout == "1 varied\n"
    assert home("deploy", "changed.py::app").returncode == 0
    assert home("run", "-q", "changed.py::client.look").stdout == "0 \n"
    home("down")


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("argument", 2, "argument 1 cannot be pickled: it is of type '_thread.lock'"),
        ("generator", 2, ".remote of 'numbers': it is a generator: use .remote_gen(...)"),
        ("option", 2, "plain.with_options has no option 'tiemout'; did you mean 'timeout'?"),
        ("expired", 8, "are kept no longer: FREEHOLD_CALL_RETENTION_DAYS=30"),
    ],
)
def test_mistakes_end_with_a_message_and_a_code(server: Freehold, what: str, code: int, said: str) -> None:
    done = server("run", "-q", "mistakes.py", "--what", what)
    assert done.returncode == code
    assert said in done.stderr
    assert "freehold/sdk" not in done.stderr


def test_a_parameter_that_is_not_given_has_its_default(server: Freehold) -> None:
    assert server("run", "-q", "mistakes.py", "--what", "ok").stdout == "(1, None) (2, None)\n"
