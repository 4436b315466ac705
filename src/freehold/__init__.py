"""Freehold: the GPU cloud you own. The SDK's names, and nothing else; each is imported when it is first used.

The server and the command line import this package too, and the server must hold none of the SDK.
"""

import importlib as _importlib
import sys as _sys
from typing import TYPE_CHECKING

from freehold.core import errors as exception
from freehold.protocol.version import VERSION as __version__  # noqa: N811 (Python's name for it)

if TYPE_CHECKING:
    from freehold.sdk.app import App
    from freehold.sdk.bucket import CloudBucketMount
    from freehold.sdk.call import FunctionCall
    from freehold.sdk.client import Client
    from freehold.sdk.cls import Cls, parameter
    from freehold.sdk.cluster import Cluster, clustered
    from freehold.sdk.context import current_function_call_id, current_input_id, is_local
    from freehold.sdk.decorators import (
        asgi_app,
        batched,
        concurrent,
        enter,
        exit,
        fastapi_endpoint,
        method,
        web_server,
        wsgi_app,
    )
    from freehold.sdk.dict import Dict
    from freehold.sdk.file_pattern_matcher import FilePatternMatcher
    from freehold.sdk.function import Function
    from freehold.sdk.image import Image
    from freehold.sdk.network_file_system import NetworkFileSystem
    from freehold.sdk.output import enable_output
    from freehold.sdk.proxy import Proxy
    from freehold.sdk.queue import Queue
    from freehold.sdk.retries import Retries
    from freehold.sdk.sandbox import Probe, Sandbox
    from freehold.sdk.schedule import Cron, Period
    from freehold.sdk.scheduler_placement import SchedulerPlacement
    from freehold.sdk.secret import Secret
    from freehold.sdk.server import Server
    from freehold.sdk.terminal import interact
    from freehold.sdk.tunnel import Tunnel, forward
    from freehold.sdk.volume import Volume
    from freehold.sdk.workspace import Environment, Workspace

_sys.modules["freehold.exception"] = exception  # so that `from freehold.exception import …` finds the one tree

Error = exception.Error

_HOMES = {
    "app": ("App",),
    "bucket": ("CloudBucketMount",),
    "call": ("FunctionCall",),
    "client": ("Client",),
    "cls": ("Cls", "parameter"),
    "context": ("current_function_call_id", "current_input_id", "is_local"),
    "decorators": (
        "asgi_app", "batched", "concurrent", "enter", "exit", "fastapi_endpoint", "method", "web_server", "wsgi_app",
    ),
    "dict": ("Dict",),
    "file_pattern_matcher": ("FilePatternMatcher",),
    "function": ("Function",),
    "image": ("Image",),
    "output": ("enable_output",),
    "network_file_system": ("NetworkFileSystem",),
    "proxy": ("Proxy",),
    "queue": ("Queue",),
    "retries": ("Retries",),
    "scheduler_placement": ("SchedulerPlacement",),
    "sandbox": ("Probe", "Sandbox"),
    "schedule": ("Cron", "Period"),
    "secret": ("Secret",),
    "terminal": ("interact",),
    "server": ("Server",),
    "tunnel": ("Tunnel", "forward"),
    "cluster": ("Cluster", "clustered"),
    "volume": ("Volume",),
    "workspace": ("Environment", "Workspace"),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "App", "Client", "CloudBucketMount", "Cls", "Cluster", "Cron", "Dict", "Environment", "Error",
    "FilePatternMatcher", "Function", "FunctionCall", "Image", "NetworkFileSystem", "Period", "Probe", "Proxy",
    "Queue", "Retries", "Sandbox", "SchedulerPlacement", "Secret", "Server", "Tunnel", "Volume", "Workspace",
    "__version__", "asgi_app", "batched", "clustered", "concurrent", "current_function_call_id", "current_input_id",
    "enable_output", "enter", "exception", "exit", "fastapi_endpoint", "forward", "interact", "is_local", "method",
    "parameter", "web_server", "wsgi_app",
]  # fmt: skip


def __getattr__(name: str) -> object:
    module = _HOME_OF.get(name)
    if module is None:
        msg = f"module 'freehold' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(_importlib.import_module(f"freehold.sdk.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
