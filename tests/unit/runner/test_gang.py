"""What each rank of a cluster is given."""

import pytest

from freehold.runner.gang import addresses, share


def test_every_rank_has_an_address_of_its_own_on_the_loopback() -> None:
    ips = addresses("in-0", 200)
    assert len(set(ips)) == 200
    for ip in (*ips, *addresses("in-1", 2)):
        first, *rest = map(int, ip.split("."))
        assert first == 127
        assert all(0 <= n <= 255 for n in rest)
        assert 1 <= rest[-1] <= 200
    assert addresses("in-0", 3) == ips[:3]
    assert not set(addresses("in-1", 3)) & set(ips)


@pytest.mark.parametrize(
    ("devices", "size", "shares"),
    [("", 2, ["", ""]), ("0,1", 2, ["0", "1"]), ("a,b,c,d", 2, ["a,b", "c,d"]), ("0,1,2", 3, ["0", "1", "2"])],
)
def test_devices_are_split_among_the_ranks(devices: str, size: int, shares: list[str]) -> None:
    assert [share(devices, rank, size) for rank in range(size)] == shares
