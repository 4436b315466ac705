"""The HTTP control API's requests and answers, as plain dataclasses: FastAPI describes them, the SDK reads them with msgspec.

Times are seconds since the epoch, durations seconds, sizes bytes, unless the name says otherwise. One module a noun; each is imported
when one of its names is, since a program's start needs few of them.
"""

import importlib as _importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freehold.protocol.schemas.apps import (
        AppHandle,
        AppRequest,
        AppView,
        EndpointView,
        FunctionDetail,
        FunctionHandle,
        FunctionView,
        RollbackRequest,
        TagsRequest,
        VersionView,
    )
    from freehold.protocol.schemas.calls import (
        AttemptView,
        CallDetail,
        CallGraph,
        CallView,
        GraphInput,
        InputView,
        JsonCall,
        JsonResult,
    )
    from freehold.protocol.schemas.data import (
        CopyRequest,
        FileKind,
        FileView,
        RenameRequest,
        SecretRequest,
        SecretUpdate,
        SecretView,
        VolumeView,
    )
    from freehold.protocol.schemas.images import Digests, ImageName, ImageRequest, ImageView, PruneRequest, PruneResult
    from freehold.protocol.schemas.instances import (
        InstanceView,
        TerminalAnswer,
        TerminalAsk,
        TerminalText,
        TunnelRequest,
    )
    from freehold.protocol.schemas.logs import LogLine
    from freehold.protocol.schemas.platform import EnvironmentView, ErrorBody, StatusView
    from freehold.protocol.schemas.pools import (
        PoolRef,
        PoolView,
        ScalingChange,
        ScalingRequest,
        VariantRequest,
        VariantView,
    )
    from freehold.protocol.schemas.sandboxes import (
        CommandRequest,
        CommandView,
        SandboxRequest,
        SandboxView,
        SignalRequest,
        SizeRequest,
        SnapshotView,
        TunnelView,
    )

_HOMES = {
    "apps": (
        "AppHandle",
        "AppRequest",
        "AppView",
        "EndpointView",
        "FunctionDetail",
        "FunctionHandle",
        "FunctionView",
        "RollbackRequest",
        "TagsRequest",
        "VersionView",
    ),
    "calls": (
        "AttemptView",
        "CallDetail",
        "CallGraph",
        "CallView",
        "GraphInput",
        "InputView",
        "JsonCall",
        "JsonResult",
    ),
    "data": (
        "FileKind",
        "CopyRequest",
        "FileView",
        "RenameRequest",
        "SecretRequest",
        "SecretUpdate",
        "SecretView",
        "VolumeView",
    ),
    "images": ("Digests", "ImageName", "ImageRequest", "ImageView", "PruneRequest", "PruneResult"),
    "instances": ("InstanceView", "TerminalAnswer", "TerminalAsk", "TerminalText", "TunnelRequest"),
    "logs": ("LogLine",),
    "platform": ("EnvironmentView", "ErrorBody", "StatusView"),
    "pools": ("PoolRef", "PoolView", "ScalingChange", "ScalingRequest", "VariantRequest", "VariantView"),
    "sandboxes": (
        "CommandRequest",
        "CommandView",
        "SandboxRequest",
        "SandboxView",
        "SignalRequest",
        "SizeRequest",
        "SnapshotView",
        "TunnelView",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AppHandle",
    "AppRequest",
    "AppView",
    "AttemptView",
    "CallDetail",
    "CallGraph",
    "CallView",
    "CommandRequest",
    "CommandView",
    "CopyRequest",
    "Digests",
    "EndpointView",
    "EnvironmentView",
    "ErrorBody",
    "FileKind",
    "FileView",
    "FunctionDetail",
    "FunctionHandle",
    "FunctionView",
    "GraphInput",
    "ImageName",
    "ImageRequest",
    "ImageView",
    "InputView",
    "InstanceView",
    "JsonCall",
    "JsonResult",
    "LogLine",
    "PoolRef",
    "PoolView",
    "PruneRequest",
    "PruneResult",
    "RenameRequest",
    "RollbackRequest",
    "SandboxRequest",
    "SandboxView",
    "ScalingChange",
    "ScalingRequest",
    "SecretRequest",
    "SecretUpdate",
    "SecretView",
    "SignalRequest",
    "SizeRequest",
    "SnapshotView",
    "StatusView",
    "TagsRequest",
    "TerminalAnswer",
    "TerminalAsk",
    "TerminalText",
    "TunnelRequest",
    "TunnelView",
    "VariantRequest",
    "VariantView",
    "VersionView",
    "VolumeView",
]


def __getattr__(name: str) -> object:
    module = _HOME_OF.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(_importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
