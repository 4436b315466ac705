import os
import subprocess
import sys

import pytest

from freehold.core.processes import alive, has_children


def test_this_process_runs() -> None:
    assert alive(os.getpid())


def test_an_ended_process_does_not_run_though_nobody_has_waited_for_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(child.pid)
    child.wait()
    assert not alive(child.pid)


def test_a_process_has_children_until_they_are_waited_for() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert has_children(os.getpid())
        assert not has_children(child.pid)
        child.kill()


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 2), ()])
def test_closed_standard_streams_are_opened(closed: tuple[int, ...]) -> None:
    code = f"""
import os
from freehold.core.processes import open_standard_streams
[os.close(fd) for fd in {closed}]
open_standard_streams()
assert all(os.path.samefile(f"/proc/self/fd/{{fd}}", "/dev/null") for fd in {closed})
assert os.open("/", os.O_RDONLY) == 3
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
