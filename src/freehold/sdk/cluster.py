"""Clusters: a call that runs on several ranks at once, each with an address of its own, and what a rank knows of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from freehold.core.errors import InvalidError
from freehold.sdk.marks import mark
from freehold.sdk.tracebacks import warn

T = TypeVar("T")
RANKS_MAX = 200


@dataclass
class ClusterInfo:
    """What `get_cluster_info()` gives. Addresses stand by rank; they are IPv4, under both names."""

    rank: int
    cluster_id: str
    container_ips: list[str]
    container_ipv4_ips: list[str]
    fabric_ids: list[str]


_current: ClusterInfo | None = None


def enter(info: ClusterInfo) -> None:
    """For the runner: this process is a rank from here on."""
    global _current  # noqa: PLW0603 (one rank a process)
    _current = info


def get_cluster_info() -> ClusterInfo:
    """Rank, cluster and addresses of the rank that this code runs in."""
    if _current is None:
        raise InvalidError(
            "this code runs in no cluster: call a function under @clustered(size=...), and ask inside it"
        )
    return _current


def clustered(*misplaced: object, size: int = 0, rdma: bool = False) -> Callable[[T], T]:
    """Run each call on `size` ranks at once, of which each gets the input; rank 0's result is the call's. Below `@app.function`,
    `@app.cls` or `@app.server`. What the function asks for in cpu, memory and gpu is each rank's.
    """
    if misplaced:
        raise InvalidError("@clustered wants its size by name: write @clustered(size=2)")
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= RANKS_MAX:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"clustered(size={size!r}) is not a whole number between 1 and {RANKS_MAX}")
    if rdma:
        warn("@clustered: rdma= has no effect: the ranks of a cluster are on one machine")

    def decorate(target: T) -> T:
        if hasattr(target, "freehold_decorated"):
            raise InvalidError("@clustered must stand below @app.function, @app.cls or @app.server: swap the two lines")
        mark(target, cluster_size=size)
        return target

    return decorate


class Cluster:
    """The ranks that run one call together, seen from one of them."""

    def __init__(self, info: ClusterInfo) -> None:
        self._info = info

    @staticmethod
    def from_context() -> "Cluster":
        """The cluster that this code runs in; InvalidError outside of one."""
        return Cluster(get_cluster_info())

    @property
    def object_id(self) -> str:
        return self._info.cluster_id

    def container_ids(self) -> list[str]:
        """By rank."""
        first = f"in-{self._info.cluster_id.removeprefix('cu-')}"
        return [container_id(first, rank) for rank in range(len(self._info.container_ips))]

    def container_ips(self, family: Literal["ipv4", "ipv6"] = "ipv6") -> list[str]:
        """Addresses by rank: of one machine's loopback, and IPv4 whatever is asked for."""
        if family not in ("ipv4", "ipv6"):
            raise InvalidError(f"family={family!r} is neither 'ipv4' nor 'ipv6'")
        return list(self._info.container_ips)

    def container_rank(self, container_id: str | None = None) -> int:
        """The rank of this code, or of a container of this cluster."""
        if container_id is None:
            return self._info.rank
        known = self.container_ids()
        if container_id not in known:
            raise InvalidError(
                f"container {container_id!r} is none of cluster {self.object_id!r}: those are {', '.join(known)}"
            )
        return known.index(container_id)


def container_id(instance: str, rank: int) -> str:
    """How a rank is called: rank 0 as the instance, whose processes all of them are."""
    return f"{instance}.{rank}" if rank else instance


def checked_size(size: int, where: str, **counts: Any) -> None:
    """Raise InvalidError where a number of containers is no whole number of clusters."""
    for name, count in counts.items():
        if count and count % size:
            raise InvalidError(
                f"{where}: {name}={count} is no multiple of clustered(size={size}): containers come a cluster at a time"
            )
