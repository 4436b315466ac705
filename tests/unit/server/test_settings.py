"""S2: what is beyond loopback has to be asked for, in so many words."""

import pytest

from freehold.core.errors import InvalidError
from freehold.server.settings import load

BEYOND = ["0.0.0.0", "::", "10.0.0.1", "192.168.1.7", "gpu.example", "127.0.0.1.example", "", "*"]


@pytest.mark.parametrize("host", BEYOND)
def test_a_bind_beyond_loopback_names_the_flag_it_wants(host: str) -> None:
    with pytest.raises(InvalidError, match="--allow-remote"):
        load(host=host)
    assert not load(host=host, allow_remote=True).loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_leave(host: str) -> None:
    assert load(host=host).loopback


def test_an_environment_that_names_a_host_does_not_widen_the_bind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_HOST", "0.0.0.0")
    with pytest.raises(InvalidError, match="--allow-remote"):
        load()
