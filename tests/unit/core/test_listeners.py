"""Ports of this machine: whose they are."""

import os
import socket
import subprocess
import sys

import pytest

from freehold.core.listeners import Owned, holder


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
def test_a_listener_of_this_process_is_its_own_and_nobody_elses(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert f"(process {os.getpid()})" in (holder(port) or "")
        assert Owned(os.getpid()).leads_to(port)
        assert Owned(os.getppid()).leads_to(port)  # which started it
        with subprocess.Popen(["sleep", "60"]) as other:
            assert not Owned(other.pid).leads_to(port)
            other.kill()


def test_a_port_that_passes_to_another_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, ours = listener.getsockname()[1], Owned(os.getpid())
        assert ours.leads_to(port)
    assert holder(port) is None
    assert not ours.leads_to(port)
    with subprocess.Popen(["sleep", "60"]) as first, _serving(port) as second:
        assert second.stdout is not None
        second.stdout.readline()
        assert (Owned(second.pid).leads_to(port), Owned(first.pid).leads_to(port)) == (True, False)
        for process in (first, second):
            process.kill()


def _serving(port: int) -> "subprocess.Popen[bytes]":
    program = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); print(flush=True); time.sleep(60)"
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
