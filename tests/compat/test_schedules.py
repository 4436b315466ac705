"""Schedules: functions that are called by themselves, in programs that run and in deployed apps, over restarts too."""

import json
import os
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.e2e.harness import Freehold, MakeHome, wait_for

PERIOD, CRON, ERRORS = (f"schedule_{name}.py" for name in ("period", "cron", "errors"))


def called(server: Freehold, app: str) -> list[dict[str, object]]:
    return server.json("call", "list", "--app", app)


def test_a_period_fires_while_a_program_runs(server: Freehold) -> None:
    done = server("run", "-q", PERIOD)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    ticks = {line.split()[2] for line in lines if line.startswith("tick 1 fc-")}
    assert 2 <= len(ticks) <= 4, done.stdout
    assert lines.count("main is done") == 1
    assert ticks <= {c["id"] for c in called(server, "compat-schedule-period")}


def test_a_period_fires_under_serve(server: Freehold) -> None:
    serving = server.start("serve", "--no-reload", "--timeout", "3.5", PERIOD)
    shown, _ = serving.communicate(timeout=60)
    assert serving.returncode == 0, shown
    assert shown.count("tick 1 fc-") >= 2, shown


def test_a_program_of_one_scheduled_function_runs_that_function(server: Freehold) -> None:
    done = server("run", "-q", CRON)
    assert (done.returncode, sorted(done.stdout.split("\n"))) == (0, ["", "made", "the report"]), done.stderr


def test_a_cron_line_is_shown_with_its_next_moment_by_its_own_clock(server: Freehold) -> None:
    server.ok("deploy", CRON)
    [function] = server.json("app", "show", "compat-schedule-cron")["functions"]
    shown = server.ok("app", "show", "compat-schedule-cron")
    server.ok("app", "stop", "compat-schedule-cron", "--yes")
    now = datetime.now(ZoneInfo("America/New_York"))
    due = datetime.fromtimestamp(function["next_run"], now.tzinfo)
    assert (due.hour, due.minute, due.second) == (6, 0, 0)
    assert now < due <= now + timedelta(hours=25)
    assert function["schedule"] == "Cron('0 6 * * *', 'America/New_York')"
    assert function["schedule"] in shown
    assert "NEXT RUN" in shown


def test_what_cannot_be_a_schedule_is_refused_where_it_stands(server: Freehold, tmp_path: Path) -> None:
    shown = server.ok("run", "-q", ERRORS)
    assert "TAKEN" not in shown
    assert shown.count("refused:") == 8
    for cause in (
        "empty",
        "days=-1",
        "five fields",
        "bad hour",
        "Mars/Olympus",
        "it wants x",
        "a generator",
        "a web endpoint",
    ):
        assert cause in shown, cause
    program = tmp_path / "bad.py"
    program.write_text(
        "import modal\napp = modal.App('bad')\n@app.function(schedule=modal.Cron('0 9 * *'))\ndef f(): ...\n"
    )
    done = server("deploy", str(program))
    assert done.returncode == 2
    assert "five fields" in done.stderr
    assert "freehold/sdk" not in done.stderr


def test_a_deployed_schedule_goes_on_after_its_server_was_killed(make_home: MakeHome) -> None:
    server = make_home()
    server.ok("up", "--detach")
    server.ok("deploy", PERIOD)
    wait_for(lambda: len(called(server, "compat-schedule-period")) >= 2)
    _kill(server)
    time.sleep(2.5)
    before = time.time()
    server.ok("up", "--detach")
    wait_for(lambda: _since(server, before) >= 2)
    passed = time.time() - before
    assert _since(server, before) <= passed + 2, "what passed while the server was down was called more than once"
    wait_for(lambda: all(c["state"] == "succeeded" for c in called(server, "compat-schedule-period")[1:]))
    logs = server.ok("app", "logs", "compat-schedule-period")
    assert logs.count("tick 1 fc-") >= 3
    server.ok("app", "stop", "compat-schedule-period", "--yes")
    count = len(called(server, "compat-schedule-period"))
    time.sleep(1.5)
    assert len(called(server, "compat-schedule-period")) == count
    server.ok("down")


def _since(server: Freehold, moment: float) -> int:
    return sum(float(str(c["created"])) >= moment for c in called(server, "compat-schedule-period"))


def _kill(server: Freehold) -> None:

    pid = json.loads((server.home / "server.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
