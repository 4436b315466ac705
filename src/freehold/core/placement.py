"""Whether an instance fits on a machine: now, later, or never. Pure; the pool commits what is decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from freehold.core.devices import Device, choose, possible
from freehold.core.specs import DEFAULT_CPU, DEFAULT_MEMORY_MIB, Resources

OVERSIZE_SHARE = 0.75  # of the memory: held by what asks for more than there is, so that what it calls finds room
NO_PORTS: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a machine has, and what of it is taken."""

    cpu: float
    memory_mib: int
    devices: tuple[Device, ...] = ()
    cpu_taken: float = 0.0
    memory_taken_mib: int = 0
    devices_taken: frozenset[str] = frozenset()
    ports_taken: frozenset[int] = NO_PORTS  # of instances' own web servers: they all share the machine's network


@dataclass(frozen=True, kw_only=True)
class Occupant:
    """An instance, as what it holds of a machine."""

    id: str
    cpu: float
    memory_mib: int
    devices: frozenset[str] = frozenset()
    ports: frozenset[int] = NO_PORTS


@dataclass(frozen=True, kw_only=True)
class Placement:
    verdict: Literal["now", "later", "never"]
    reason: str = ""
    devices: tuple[Device, ...] = ()


def place(want: Resources, machine: Machine, *, first: bool, ports: frozenset[int] = NO_PORTS) -> Placement:
    """Decide for one instance that serves on these ports. The `first` of its pool may overcommit cores, so that functions that call each other never
    wait for each other's cores; devices and ports are never overcommitted, and memory only by the first that asks for more than there is.
    """
    impossible = shortage(want, machine)
    if impossible:
        return Placement(verdict="never", reason=impossible)
    taken = ports & machine.ports_taken
    if taken:
        return Placement(
            verdict="later",
            reason=f"waits for port {min(taken)}, on which another instance serves: they share the machine's network (`freehold doctor` says why)",
        )
    cpu, memory = held(want, machine)
    oversize = memory_of(want) > machine.memory_mib
    if not first and machine.cpu_taken + cpu > machine.cpu:
        return Placement(verdict="later", reason=f"waits for {cpu:g} free cores of {machine.cpu:g}")
    if not (first and oversize) and machine.memory_taken_mib + memory > machine.memory_mib:
        return Placement(
            verdict="later",
            reason=f"waits for {memory} MiB of memory, {machine.memory_mib - machine.memory_taken_mib} are free",
        )
    devices = choose(want.gpu, machine.devices, machine.devices_taken) if want.gpu else ()
    if devices is None:
        return Placement(verdict="later", reason=f"waits for a free GPU ({' or '.join(want.gpu)})")
    return Placement(verdict="now", devices=devices)


def without(machine: Machine, occupants: Iterable[Occupant]) -> Machine:
    """The machine as it is when these are gone."""
    gone = list(occupants)
    return replace(
        machine,
        cpu_taken=machine.cpu_taken - sum(o.cpu for o in gone),
        memory_taken_mib=machine.memory_taken_mib - sum(o.memory_mib for o in gone),
        devices_taken=machine.devices_taken - {d for o in gone for d in o.devices},
        ports_taken=machine.ports_taken - {p for o in gone for p in o.ports},
    )


def make_room(
    want: Resources, machine: Machine, spare: Sequence[Occupant], *, first: bool, ports: frozenset[int] = NO_PORTS
) -> tuple[str, ...]:
    """Return which of `spare` have to go so that an instance can be placed, earlier ones first and no more than needed; () when
    not even all of them are enough, or none is needed.
    """

    def fits(gone: Sequence[Occupant]) -> bool:
        return place(want, without(machine, gone), first=first, ports=ports).verdict == "now"

    count = next((n for n in range(len(spare) + 1) if fits(spare[:n])), 0)
    chosen = list(spare[:count])
    for occupant in spare[:count]:
        rest = [o for o in chosen if o is not occupant]
        if fits(rest):
            chosen = rest
    return tuple(o.id for o in chosen)


def shortage(want: Resources, machine: Machine) -> str | None:
    """Say what the machine lacks for ever, with the fix; None when an empty machine would do."""
    if want.gpu and not possible(want.gpu, machine.devices):
        return f"gpu={' or '.join(map(repr, want.gpu))}: {_have(machine.devices)}"
    return None


def oversize(want: Resources, machine: Machine) -> str | None:
    """Say what is asked for of cores and memory beyond what the machine has; it runs all the same."""
    beyond: list[str] = []
    if cpu_of(want) > machine.cpu:
        beyond.append(f"cpu={cpu_of(want):g} is more than this machine's {machine.cpu:g} cores")
    if memory_of(want) > machine.memory_mib:
        beyond.append(f"memory={memory_of(want)} MiB is more than this machine's {machine.memory_mib} MiB")
    return f"{', and '.join(beyond)}: it runs with what there is" if beyond else None


def held(want: Resources, machine: Machine) -> tuple[float, int]:
    """Cores and MiB that are held for one instance: a request, no more of it than the machine can give."""
    memory = memory_of(want)
    most = int(machine.memory_mib * OVERSIZE_SHARE)
    return min(cpu_of(want), machine.cpu), memory if memory <= machine.memory_mib else most


def cpu_of(want: Resources) -> float:
    return DEFAULT_CPU if want.cpu is None else want.cpu


def memory_of(want: Resources) -> int:
    return DEFAULT_MEMORY_MIB if want.memory_mib is None else want.memory_mib


def _have(devices: Sequence[Device]) -> str:
    if not devices:
        return (
            'this machine has no GPU; declare simulated ones with FREEHOLD_DEVICES="A10G:1" on the server, or drop gpu='
        )
    return f'this machine has {", ".join(d.type for d in devices)}; ask for one of these, or for "any"'
