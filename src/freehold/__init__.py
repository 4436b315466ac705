"""Freehold: the GPU cloud you own. The SDK's names, and nothing else."""

import sys as _sys

from freehold.core import errors as exception
from freehold.protocol.version import VERSION as __version__  # noqa: N811 (Python's name for it)
from freehold.sdk.app import App
from freehold.sdk.call import FunctionCall
from freehold.sdk.cls import Cls, parameter
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
from freehold.sdk.function import Function
from freehold.sdk.image import Image
from freehold.sdk.retries import Retries
from freehold.sdk.secret import Secret
from freehold.sdk.volume import Volume

_sys.modules["freehold.exception"] = exception  # so that `from freehold.exception import …` finds the one tree

__all__ = [
    "App", "Cls", "Function", "FunctionCall", "Image", "Retries", "Secret", "Volume", "__version__", "asgi_app",
    "batched", "concurrent", "current_function_call_id", "current_input_id", "enter", "exception", "exit",
    "fastapi_endpoint", "is_local", "method", "parameter", "web_server", "wsgi_app",
]  # fmt: skip
