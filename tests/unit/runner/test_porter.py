"""The porter of an instance, and the server's end of it."""

import asyncio
import socket
from pathlib import Path

import pytest

from freehold.runner.porter import Porter
from freehold.server.inside import connect_inside, listen_inside


@pytest.fixture
def porter(tmp_path: Path) -> Porter:
    return Porter(tmp_path / "p.sock")


async def test_it_gives_a_connection_to_what_listens_inside(porter: Porter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        given = await connect_inside(porter.address(listener.getsockname()[1]).removeprefix("inside:"))
        accepted, _ = listener.accept()
        with given, accepted:
            await asyncio.get_running_loop().sock_sendall(given, b"hello")
            assert accepted.recv(10) == b"hello"


async def test_it_finds_what_listens_on_ipv6_alone(porter: Porter) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        given = await connect_inside(f"{porter.path}:{listener.getsockname()[1]}")
        assert given.getpeername()[0] == "::1"
        given.close()


async def test_a_port_on_which_nothing_listens_is_refused(porter: Porter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match="refused"):
        await connect_inside(f"{porter.path}:{free}")


async def test_it_listens_for_the_server(porter: Porter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await listen_inside(str(porter.path), port)
    with await listen_inside(str(porter.path), port) as listener:
        assert listener.getsockname() == ("127.0.0.1", port)


async def test_nonsense_is_refused_and_the_next_is_served(porter: Porter) -> None:
    for words in (b"connect", b"connect -1", b"connect 99999999999", b"\xff\xff", b"dance 7"):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(porter.path))
            asking.sendall(words)
            assert asking.recv(100).startswith(b"-")
    with await listen_inside(str(porter.path), 0) as listener:
        assert listener.getsockname()[1]


async def test_one_that_is_gone_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await connect_inside(f"{tmp_path}/none.sock:80")
