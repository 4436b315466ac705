"""What programs import from `modal.experimental`."""

import os
import signal
from collections.abc import Callable
from typing import TypeVar

from freehold.core.errors import InvalidError
from freehold.sdk.cluster import ClusterInfo, get_cluster_info
from freehold.sdk.cluster import clustered as _clustered
from freehold.sdk.context import is_local
from freehold.sdk.server import http_server

T = TypeVar("T")
__all__ = ["ClusterInfo", "clustered", "get_cluster_info", "get_fabric_peers", "http_server", "stop_fetching_inputs"]


def clustered(
    size: int, broadcast: bool = True, rdma: bool = False, fabric_size: int | None = None
) -> Callable[[T], T]:
    """The older spelling of `clustered(size=...)`."""
    if not broadcast:
        raise InvalidError(
            "clustered(broadcast=False) is not supported: every rank gets the input; look at get_cluster_info().rank"
        )
    if fabric_size is not None and (fabric_size <= 0 or size % fabric_size):
        raise InvalidError(f"clustered(fabric_size={fabric_size!r}) does not divide size={size}")
    return _clustered(size=size, rdma=rdma)


def get_fabric_peers() -> list[int]:
    """The ranks that share a fabric with this one: one machine's are all one."""
    return list(range(len(get_cluster_info().container_ips)))


def stop_fetching_inputs() -> None:
    """Take no more inputs in this instance: it ends after those that it has begun."""
    if is_local():
        raise InvalidError("stop_fetching_inputs() is for code that runs in an instance")
    os.kill(os.getpid(), signal.SIGTERM)
