"""Placement: now, later, never."""

from freehold.core.devices import parse_declared
from freehold.core.placement import Machine, place
from freehold.core.specs import Resources

MACHINE = Machine(cpu=2, memory_mib=4096, devices=parse_declared("T4:1"))


def test_what_the_machine_never_has_is_refused_with_the_reason() -> None:
    assert "64 cores" not in place(Resources(cpu=1), MACHINE, first=True).reason
    never = place(Resources(memory_mib=9000), MACHINE, first=True)
    assert never.verdict == "never"
    assert "9000 MiB" in never.reason
    assert place(Resources(gpu=("H100",)), MACHINE, first=True).verdict == "never"


def test_the_first_instance_of_a_pool_may_overcommit_cores_but_not_memory() -> None:
    full = Machine(cpu=2, memory_mib=4096, cpu_taken=2, memory_taken_mib=4000)
    assert place(Resources(memory_mib=10), full, first=True).verdict == "now"
    assert place(Resources(memory_mib=10), full, first=False).verdict == "later"
    assert place(Resources(memory_mib=100), full, first=True).verdict == "later"


def test_a_taken_device_is_waited_for() -> None:
    taken = Machine(cpu=2, memory_mib=4096, devices=MACHINE.devices, devices_taken=frozenset({"sim-0"}))
    assert place(Resources(gpu=("T4",)), taken, first=True).verdict == "later"
    assert [d.id for d in place(Resources(gpu=("T4",)), MACHINE, first=True).devices] == ["sim-0"]
