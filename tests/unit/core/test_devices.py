"""Device grammar and choice."""

import pytest

from freehold.core.devices import choose, parse_declared, parse_gpu, possible
from freehold.core.errors import InvalidError


def test_declared_devices_have_ids_types_and_memory() -> None:
    devices = parse_declared("A10G:2, T4")
    assert [(d.id, d.type, d.vram_bytes >> 30) for d in devices] == [
        ("sim-0", "A10G", 24),
        ("sim-1", "A10G", 24),
        ("sim-2", "T4", 16),
    ]


@pytest.mark.parametrize("text", ["", "A10G:0", "A10G:x", ":2", "A 10", "A10G:99"])
def test_a_gpu_that_is_no_gpu_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidError, match="gpu="):
        parse_gpu(text)


def test_the_first_alternative_that_is_free_is_taken() -> None:
    devices = parse_declared("A100-80GB:1,T4:2")
    assert [d.id for d in choose(["H100", "A100"], devices, ()) or ()] == ["sim-0"]
    assert [d.id for d in choose(["A100", "T4:2"], devices, {"sim-0"}) or ()] == ["sim-1", "sim-2"]
    assert choose(["A100"], devices, {"sim-0"}) is None
    assert [d.id for d in choose(["any"], devices, {"sim-0"}) or ()] == ["sim-1"]
    assert not possible(["H100"], devices)
