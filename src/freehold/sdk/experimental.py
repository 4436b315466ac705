"""What programs import from `modal.experimental`."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from freehold.core.errors import DeprecationError, InvalidError
from freehold.core.states import AppState
from freehold.sdk.cls import Cls
from freehold.sdk.cluster import ClusterInfo, get_cluster_info
from freehold.sdk.cluster import clustered as _clustered
from freehold.sdk.context import is_local
from freehold.sdk.environment import api_of, named
from freehold.sdk.faces import blocking, both_static
from freehold.sdk.function import Function
from freehold.sdk.http import segment
from freehold.sdk.server import http_server
from freehold.sdk.tracebacks import warn

T = TypeVar("T")
__all__ = [
    "AppInfo", "ClusterInfo", "clustered", "get_app_objects", "get_cluster_info", "get_fabric_peers", "http_server", "image_delete",
    "list_deployed_apps", "stop_app", "stop_fetching_inputs",
]  # fmt: skip


@dataclass(frozen=True)
class AppInfo:
    """A deployed app, and how many instances it has."""

    app_id: str
    name: str
    containers: int


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


@both_static
async def list_deployed_apps(environment_name: str = "", client: object = None) -> list[AppInfo]:
    """Deployed apps, the newest first."""
    from freehold.protocol.schemas import AppView

    views = await blocking(api_of(named(environment_name, client)).get, "/v1/apps", list[AppView])
    return [AppInfo(v.id, v.name, v.instances) for v in views if v.state is AppState.DEPLOYED]


@both_static
async def get_app_objects(
    app_name: str, *, environment_name: str | None = None, client: object = None
) -> dict[str, Function[..., Any] | Cls]:
    """The functions and classes of a deployed app, by name, as `from_name` gives them."""
    from freehold.protocol.schemas import AppView

    api = api_of(named(environment_name, client))
    view: AppView = await blocking(api.get, f"/v1/apps/{segment(app_name)}", AppView)
    return {
        f.name: (Cls if f.kind == "cls" else Function).from_name(app_name, f.name, environment_name=environment_name)
        for f in view.functions
    }


@both_static
async def stop_app(name: str, *, environment_name: str | None = None, client: object = None) -> None:
    """What is now `App.lookup(name).stop()`."""
    warn(f"modal.experimental.stop_app({name!r}) is now modal.App.lookup({name!r}).stop()", DeprecationError)
    await blocking(api_of(named(environment_name, client)).act, "POST", f"/v1/apps/{segment(name)}/stop")


@both_static
async def image_delete(image_id: str, *, client: object = None) -> None:
    """Delete a built image; refused while an app that runs has it."""
    api = api_of(named(None, client))
    await blocking(api.act, "DELETE", f"/v1/images/{segment(image_id)}", patient=True)
