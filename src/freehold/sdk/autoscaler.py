"""How a function scales: looked at, and changed until the next deployment."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from freehold.core.errors import InvalidError
from freehold.core.specs import Scaling
from freehold.protocol import schemas
from freehold.sdk import client
from freehold.sdk.faces import blocking, both

if TYPE_CHECKING:
    from freehold.sdk.types import FunctionAutoscalerSettings


_SAME: Any = object()  # None means «no limit»


class Autoscaler:
    """Of one pool: a function's, or that of one object or variant."""

    def __init__(self, pool: "Callable[[], schemas.PoolRef]") -> None:
        self._pool = pool

    @both
    async def settings(self) -> "FunctionAutoscalerSettings":
        return await blocking(self._change, schemas.ScalingChange())

    @both
    async def update(
        self,
        *,
        min_containers: int | None = _SAME,
        max_containers: int | None = _SAME,
        buffer_containers: int | None = _SAME,
        scaledown_window: float = _SAME,
    ) -> "FunctionAutoscalerSettings":
        """Change what is named, until the app is deployed again. None: no minimum, no maximum, no buffer."""
        given = {
            "min_containers": min_containers, "max_containers": max_containers, "buffer_containers": buffer_containers,
            "scaledown_window": scaledown_window,
        }  # fmt: skip
        return await update(self, {name: value for name, value in given.items() if value is not _SAME})

    def _change(self, change: "schemas.ScalingChange") -> "FunctionAutoscalerSettings":
        from freehold.sdk import types

        request = schemas.ScalingRequest(pool=self._pool(), change=change)
        now = client.current().api.send("POST", "/v1/pools/scaling", request, Scaling)
        return types.FunctionAutoscalerSettings(
            min_containers=now.min_instances, max_containers=now.max_instances, scaledown_window=round(now.scaledown_window_s),
            buffer_containers=now.buffer_instances,
        )  # fmt: skip


async def update(autoscaler: Autoscaler, said: dict[str, Any]) -> "FunctionAutoscalerSettings":
    """A core: change what is named in `said`."""
    change = schemas.ScalingChange(
        min_instances=_count(said, "min_containers", 0),
        max_instances=_count(said, "max_containers", 1),
        buffer_instances=_count(said, "buffer_containers", 0),
        scaledown_window_s=_window(said),
    )
    return await blocking(autoscaler._change, change)


def _count(said: dict[str, Any], name: str, least: int) -> int | None:
    if name not in said:
        return None
    value = said[name]
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        msg = f"{name}={value!r} is neither None nor a whole number of at least {least}"
        raise InvalidError(msg)
    return value


def _window(said: dict[str, Any]) -> float | None:
    if "scaledown_window" not in said:
        return None
    value = said["scaledown_window"]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 2 <= value <= 3600:
        msg = f"scaledown_window={value!r} is not a number of seconds between 2 and 3600"
        raise InvalidError(msg)
    return float(value)
