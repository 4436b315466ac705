"""What an hour costs: our rows, and the user's over them."""

from pathlib import Path

import pytest

from freehold.core.errors import InvalidError
from freehold.core.home import Home
from freehold.core.prices import Prices, load
from freehold.core.specs import Resources


def test_an_hour_is_cores_memory_and_accelerators() -> None:
    prices = Prices(core=0.5, gib=0.25, gpu={"A10G": 1.0})
    assert prices.hour(Resources(cpu=2, memory_mib=4096)) == 2 * 0.5 + 4 * 0.25
    assert prices.hour(Resources(cpu=2, memory_mib=1024, gpu=("A10G:2", "T4"))) == 1.0 + 0.25 + 2.0


def test_an_accelerator_without_a_price_has_none() -> None:
    assert Prices(core=1, gib=1).hour(Resources(gpu=("H100",))) is None


def test_the_rows_of_the_home_stand_over_ours(tmp_path: Path) -> None:
    ours = load(Home(tmp_path))
    (tmp_path / "prices.toml").write_text("core = 0.01\n[gpu]\nh100 = 2.5\n")
    own = load(Home(tmp_path))
    assert (own.core, own.gib) == (0.01, ours.gib)
    assert own.gpu == {**ours.gpu, "H100": 2.5}


@pytest.mark.parametrize("text", ["core = 'free'", "cores = 1", "[gpu]\nT4 = -1", "gpu = 3 4", "gib = true"])
def test_a_file_of_prices_that_is_none_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(InvalidError, match=r"prices\.toml"):
        load(Home(tmp_path))
