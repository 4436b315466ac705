import os
import subprocess
import sys

from freehold.core.processes import alive


def test_this_process_runs() -> None:
    assert alive(os.getpid())


def test_an_ended_process_does_not_run_though_nobody_has_waited_for_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(child.pid)
    child.wait()
    assert not alive(child.pid)
