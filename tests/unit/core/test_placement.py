"""Placement: now, later, never."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.devices import parse_declared
from freehold.core.placement import Machine, Occupant, held, make_room, oversize, place, without
from freehold.core.specs import Resources

MACHINE = Machine(cpu=2, memory_mib=4096, devices=parse_declared("T4:1"))


def test_what_the_machine_never_has_is_refused_with_the_reason() -> None:
    assert "64 cores" not in place(Resources(cpu=1), MACHINE, first=True).reason
    never = place(Resources(gpu=("H100",)), MACHINE, first=True)
    assert never.verdict == "never"
    assert "gpu='H100'" in never.reason


def test_a_request_beyond_the_machine_holds_what_there_is() -> None:
    large = Resources(cpu=32, memory_mib=32_768)
    assert oversize(large, MACHINE) == (
        "cpu=32 is more than this machine's 2 cores, and memory=32768 MiB is more than this machine's 4096 MiB: it runs with what there is"
    )
    assert oversize(Resources(cpu=2, memory_mib=4096), MACHINE) is None
    assert held(large, MACHINE) == (2, 3072)
    assert held(Resources(cpu=0.5, memory_mib=4096), MACHINE) == (0.5, 4096)
    taken = replace(MACHINE, cpu_taken=2, memory_taken_mib=3072)
    assert place(large, MACHINE, first=True).verdict == "now"
    assert place(large, taken, first=False).verdict == "later"  # one at a time
    assert place(Resources(), taken, first=True).verdict == "now"  # what it calls
    assert place(large, taken, first=True).verdict == "now"  # another such that it calls


def test_the_first_instance_of_a_pool_may_overcommit_cores_but_not_memory() -> None:
    full = Machine(cpu=2, memory_mib=4096, cpu_taken=2, memory_taken_mib=4000)
    assert place(Resources(memory_mib=10), full, first=True).verdict == "now"
    assert place(Resources(memory_mib=10), full, first=False).verdict == "later"
    assert place(Resources(memory_mib=100), full, first=True).verdict == "later"


def test_a_taken_device_is_waited_for() -> None:
    taken = Machine(cpu=2, memory_mib=4096, devices=MACHINE.devices, devices_taken=frozenset({"sim-0"}))
    assert place(Resources(gpu=("T4",)), taken, first=True).verdict == "later"
    assert [d.id for d in place(Resources(gpu=("T4",)), MACHINE, first=True).devices] == ["sim-0"]


def _gpu(name: str, device: str) -> Occupant:
    return Occupant(id=name, cpu=0.1, memory_mib=100, devices=frozenset({device}))


def test_two_that_serve_on_one_port_wait_for_each_other() -> None:
    taken = replace(MACHINE, ports_taken=frozenset({8000, 9000}))
    waits = place(Resources(), taken, first=True, ports=frozenset({8000}))
    assert waits.verdict == "later"
    assert waits.reason.startswith("waits for port 8000, on which another instance serves")
    assert place(Resources(), taken, first=True, ports=frozenset({8001})).verdict == "now"
    spare = [Occupant(id=str(p), cpu=0.1, memory_mib=100, ports=frozenset({p})) for p in (9000, 8000)]
    assert make_room(Resources(), taken, spare, first=True, ports=frozenset({8000})) == ("8000",)


def test_only_those_go_whose_place_is_needed() -> None:
    machine = Machine(
        cpu=4, memory_mib=4096, devices=parse_declared("T4:2"), cpu_taken=0.4, memory_taken_mib=400,
        devices_taken=frozenset({"sim-0", "sim-1"}),
    )  # fmt: skip
    plain = [Occupant(id=f"p{n}", cpu=0.1, memory_mib=100) for n in range(2)]
    spare = [plain[0], _gpu("a", "sim-0"), plain[1], _gpu("b", "sim-1")]
    assert make_room(Resources(gpu=("T4",)), machine, spare, first=True) == ("a",)
    assert make_room(Resources(gpu=("T4:2",)), machine, spare, first=True) == ("a", "b")
    assert make_room(Resources(gpu=("T4",)), machine, plain, first=True) == ()
    assert make_room(Resources(), machine, spare, first=True) == ()


@given(
    taken=st.lists(st.tuples(st.floats(0.1, 2), st.integers(1, 2000), st.booleans()), max_size=6),
    cpu=st.floats(0.1, 4), memory=st.integers(1, 4096), gpu=st.booleans(), first=st.booleans(),
)  # fmt: skip
def test_the_room_made_is_enough_and_no_more(
    taken: list[tuple[float, int, bool]], cpu: float, memory: int, gpu: bool, first: bool
) -> None:
    machine = Machine(cpu=4, memory_mib=4096, devices=parse_declared("T4:6"))
    spare = [
        Occupant(id=str(n), cpu=c, memory_mib=m, devices=frozenset({f"sim-{n}"} if d else ()))
        for n, (c, m, d) in enumerate(taken)
    ]
    full = replace(
        machine, cpu_taken=sum(o.cpu for o in spare), memory_taken_mib=sum(o.memory_mib for o in spare),
        devices_taken=frozenset(d for o in spare for d in o.devices),
    )  # fmt: skip
    want = Resources(cpu=cpu, memory_mib=memory, gpu=("T4:5",) if gpu else ())
    chosen = make_room(want, full, spare, first=first)

    def verdict(gone: Iterable[str]) -> str:
        return place(want, without(full, [o for o in spare if o.id in gone]), first=first).verdict

    if verdict(()) == "now" or verdict([o.id for o in spare]) != "now":
        assert chosen == ()
    else:
        assert verdict(chosen) == "now"
        assert all(verdict(set(chosen) - {one}) == "later" for one in chosen)
