"""Calls, their inputs and attempts; calls in plain JSON."""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from freehold.core.states import CallState


@dataclass(frozen=True, kw_only=True)
class AttemptView:
    index: int
    attempt: int
    instance: str | None
    state: CallState
    started: float | None
    ended: float | None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class InputView:
    index: int
    state: CallState
    attempt: int
    method: str
    instance: str | None
    created: float
    started: float | None
    ended: float | None
    args_bytes: int
    result_bytes: int | None
    error: str | None = None  # type and message
    traceback: str | None = None


@dataclass(frozen=True, kw_only=True)
class CallView:
    id: str
    app_id: str
    app: str
    function_id: str
    function: str  # with its method: "Ocr.predict"
    kind: str  # remote, spawn, map, generator, web, http
    state: CallState
    created: float
    started: float | None
    ended: float | None
    inputs: int
    succeeded: int
    failed: int
    parent: str | None = None
    error: str | None = None
    parent_index: int | None = None  # which input of `parent` made it


@dataclass(frozen=True, kw_only=True)
class CallDetail:
    call: CallView
    inputs: tuple[InputView, ...]
    attempts: tuple[AttemptView, ...]


@dataclass(frozen=True, kw_only=True)
class GraphInput:
    """One input of a call, and the input that made the call."""

    call: str
    index: int
    instance: str | None
    state: CallState
    function: str  # with its method: "Ocr.predict"
    module: str
    parent: str | None  # a call
    parent_index: int  # which input of it


@dataclass(frozen=True, kw_only=True)
class CallGraph:
    inputs: tuple[GraphInput, ...]  # parents first
    truncated: bool = False  # there are more


class JsonCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/functions/{app}/{function}/call`. A field that it does not have is refused."""

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    parameters: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class JsonResult:
    call: str
    result: Any
