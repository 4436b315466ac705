"""R22: the server is killed while dicts and queues are used: what was acknowledged is there, and no item comes out twice."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.harness import PROGRAMS
from tests.e2e.reliability.chaos import ask, lines, until
from tests.e2e.reliability.conftest import MakeServer, Sized

pytestmark = pytest.mark.slow


def test_r22_puts_survive_kills_and_items_come_out_once(make_server: MakeServer, tmp_path: Path, sized: Sized) -> None:
    kills, dice = sized(4, 60), random.Random(2211)
    server = make_server()
    server.up()
    client = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "stored.py"), str(tmp_path)],
        env=server.home.env, cwd=PROGRAMS, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(kills):
            had = len(lines(tmp_path / "got"))
            until(
                lambda had=had: len(lines(tmp_path / "got")) > had + 20 or client.poll() is not None, 60, "more items"
            )
            time.sleep(dice.uniform(0, 0.2))
            server.kill()
            server.up()
        _, complaints = client.communicate(timeout=120)
        assert client.returncode == 0, complaints
    finally:
        client.kill()
    put, unsure, got = (
        lines(tmp_path / name) for name in ("put", "unsure", "got")
    )  # an item a line, as JSON writes it
    doubled = [item for item, times in Counter(got).items() if times > 1]
    assert doubled == [], "an item came out twice"
    lost = set(put) - set(got)
    # one kill ends at most the answers that are on their way: three getters, of three items
    assert len(lost) <= kills * 9, f"{len(lost)} acknowledged items were lost by {kills} kills"
    assert set(got) - set(put) <= set(unsure), "an item came out that was never put"
    kept = dict(json.loads(line) for line in lines(tmp_path / "read"))
    written = dict(json.loads(line) for line in lines(tmp_path / "written"))
    assert {key: kept.get(key) for key in written} == written, "an acknowledged value is lost"
    server.end()
    assert ask(server.home, "pragma integrity_check") == [("ok",)]
    assert ask(server.home, "select count(*) from queue_items") == [(0,)]
    print(
        f"R22: {len(put)} items, {len(written)} values, {kills} kills, {len(lost)} items lost on their way to a getter"
    )
