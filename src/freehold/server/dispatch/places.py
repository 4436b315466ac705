"""The machine's resources among pools: who holds what, who waits for a place, and which instances make room.

The pool that got a place longest ago is served first; one that can't be placed holds up no other.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

from freehold.core.clock import Clock
from freehold.core.devices import Device
from freehold.core.errors import ResourceExhaustedError
from freehold.core.placement import NO_PORTS, Machine, Occupant, Placement, held, make_room, place, without
from freehold.core.specs import FunctionSpec, Resources
from freehold.core.states import InstanceState
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.pool import Pool

log = logging.getLogger("freehold.places")
TURN_S = 30.0  # a pool that waits longer gets the place of an instance that has served as long, though it is busy
TURN_STARTS = 4.0  # and so many times as long as it took to start


class Places:
    """`evict(instance, reason)` is to let an instance finish what it runs, and go."""

    def __init__(
        self,
        machine: Machine,
        instances: Mapping[str, Instance],
        clock: Clock,
        evict: Callable[[Instance, str], None],
        *,
        shares_network: Callable[[FunctionSpec], bool] = lambda _: True,
    ) -> None:
        self.machine, self._shares_network = machine, shares_network
        self._instances, self._clock, self._evict = instances, clock, evict
        self._sandboxes: dict[str, Occupant] = {}
        self._waiting: dict[Pool, float] = {}  # since when (monotonic), the first first
        self._placed: WeakKeyDictionary[Pool, float] = WeakKeyDictionary()  # when a pool last got a place (monotonic)

    @property
    def occupied(self) -> Machine:
        return self._occupied(self._instances.values())

    def find(self, pool: Pool) -> Placement:
        """A place for one more instance of a pool; if there is none now, the pool waits, and others make room."""
        want, first, ports = pool.spec.resources, not pool.live, self._ports(pool.spec)
        found = place(want, self.occupied, first=first, ports=ports)
        if found.verdict == "later":
            self._wait(pool, found.reason)
        else:
            self.leave(pool)
            self._placed[pool] = self._clock.monotonic()
        return found

    def leave(self, pool: Pool) -> None:
        """A pool waits for a place no longer."""
        pool.blocked = None
        self._waiting.pop(pool, None)

    def holder(self, port: int) -> str | None:
        """Who has this port of the machine's, among what shares its network."""
        for one in self._sandboxes.values():
            if port in one.ports:
                return f"sandbox {one.id}"
        for instance in self._instances.values():
            if port in self._ports(instance.pool.spec):
                return f"instance {instance.id} of {instance.pool.function_name!r} in app {instance.pool.app_name!r}"
        return None

    def reserve(self, sandbox: str, want: Resources, ports: frozenset[int] = NO_PORTS) -> tuple[Device, ...]:
        """Hold what a sandbox asks for; ResourceExhaustedError when it is not free now. Cores it may share, as a pool's first instance may."""
        found = place(want, self.occupied, first=True, ports=ports)
        if found.verdict != "now":
            raise ResourceExhaustedError(
                f"no place for a sandbox on this machine: {found.reason}; terminate one, or ask for less"
            )
        cpu, memory = held(want, self.machine)
        self._sandboxes[sandbox] = Occupant(
            id=sandbox,
            cpu=cpu,
            memory_mib=memory,
            devices=frozenset(d.id for d in found.devices),
            ports=ports,
        )
        return found.devices

    def release(self, sandbox: str) -> None:
        """A sandbox is gone: serve those that wait."""
        if self._sandboxes.pop(sandbox, None) is not None:
            self.freed()

    def freed(self) -> None:
        """An instance is gone: serve those that wait."""
        for pool in sorted(self._waiting, key=lambda p: self._placed.get(p, 0.0)):
            pool.scale()

    # ---- making room

    def _wait(self, pool: Pool, reason: str) -> None:
        now = self._clock.monotonic()
        since = self._waiting.setdefault(pool, now)
        if pool.blocked != reason:
            pool.blocked = reason
            log.warning(
                "pool_waits_for_resources",
                extra={"app": pool.app_name, "function": pool.function_name, "reason": reason},
            )
        others = [i for i in self._instances.values() if i.pool is not pool]
        idle = sorted((i for i in others if i.state is InstanceState.IDLE), key=lambda i: i.idle_since)
        leaving = [i for i in others if not i.accepts and i.state is not InstanceState.STARTING]
        if self._make_room(pool, _spare(idle), [i for i in leaving if not i.load]) or now - since < TURN_S:
            return
        least = len(pool.live) + 2 if pool.live else 0  # none is taken from a pool that has no more than this one
        busy = [i for i in others if _had_its_turn(i, now) and len(i.pool.live) >= least]
        busy.sort(key=lambda i: i.started_at)
        self._make_room(pool, _spare([*idle, *busy]), leaving)

    def _make_room(self, pool: Pool, spare: Iterable[Instance], leaving: Iterable[Instance]) -> bool:
        """Evict as few of `spare` as it takes, beside those that leave anyway; False when all of them would not do."""
        want, first, ports = pool.spec.resources, not pool.live, self._ports(pool.spec)
        machine = without(self.occupied, [self._occupant(i) for i in leaving])
        if place(want, machine, first=first, ports=ports).verdict == "now":
            return True
        chosen = make_room(want, machine, [self._occupant(i) for i in spare], first=first, ports=ports)
        for instance_id in chosen:
            self._evict(self._instances[instance_id], "its place is needed")
        return bool(chosen)

    def _occupied(self, instances: Iterable[Instance]) -> Machine:
        there = [*(self._occupant(i) for i in instances), *self._sandboxes.values()]
        return replace(
            self.machine,
            cpu_taken=sum(o.cpu for o in there),
            memory_taken_mib=sum(o.memory_mib for o in there),
            devices_taken=frozenset(d for o in there for d in o.devices),
            ports_taken=frozenset(p for o in there for p in o.ports),
        )

    def _occupant(self, instance: Instance) -> Occupant:
        cpu, memory = held(instance.pool.spec.resources, self.machine)
        return Occupant(
            id=instance.id,
            cpu=cpu,
            memory_mib=memory,
            devices=frozenset(d.id for d in instance.devices),
            ports=self._ports(instance.pool.spec),
        )

    def _ports(self, spec: FunctionSpec) -> frozenset[int]:
        """Those that its instances take from the machine; in a network of its own each has all ports to itself."""
        return spec.ports() if self._shares_network(spec) else NO_PORTS


def _spare(instances: Iterable[Instance]) -> list[Instance]:
    """Those that their pools can do without: no pool is brought below its minimum."""
    left: dict[Pool, int] = {}
    spare: list[Instance] = []
    for instance in instances:
        pool: Pool = instance.pool
        count = left.setdefault(pool, len(pool.live) - pool.spec.scaling.min_instances)
        if count > 0:
            left[pool] = count - 1
            spare.append(instance)
    return spare


def _had_its_turn(instance: Instance, now: float) -> bool:
    """It has served for long, and holds no web request, which may never end."""
    start = instance.phases.get("total", 0.0)
    served = now - instance.started_at - start
    busy = instance.state is InstanceState.BUSY and instance.accepts and not instance.web
    return busy and served >= max(TURN_S, TURN_STARTS * start)
