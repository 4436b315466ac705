"""The messages of the link, as msgpack arrays whose first item is a tag. `link.Link` carries them.

A client sends Hello, then Submit/Extend/Cancel/Subscribe; an instance sends Join, then Ready, Result, Item, Beat.
Payload bytes are opaque to the server.
"""

from enum import IntEnum
from typing import Literal

from msgspec import Struct


class Format(IntEnum):
    """How a payload's `data` is written."""

    PICKLE = 0  # cloudpickle, protocol 5; `buffers` are its out-of-band buffers
    JSON = 1  # UTF-8 JSON: {"args": [...], "kwargs": {...}} going in, the bare value coming out


class Status(IntEnum):
    """How one attempt of one input ended."""

    OK = 0
    ERROR = 1  # user code raised; the payload is a `RemoteFailure`
    TIMEOUT = 2
    CANCELLED = 3
    GENERATOR_DONE = 4  # the payload is empty; `Item`s came before


class Frame(Struct, array_like=True, frozen=True, gc=False):
    """Base of every message; array-like, so that names cost nothing on the wire."""


class Buffer(Struct, array_like=True, frozen=True, gc=False):
    """One large piece of a payload: the bytes themselves, a piece of the arena, or a blob."""

    kind: Literal["inline", "arena", "blob"]
    data: bytes = b""
    segment: str = ""  # arena: file name in the arena's folder; blob: sha256 hex
    offset: int = 0
    size: int = 0


class Payload(Struct, array_like=True, frozen=True, gc=False):
    """One value. `blob` is set when `data` itself was too large for a frame and lies in the blob store."""

    data: bytes = b""
    format: int = Format.PICKLE
    buffers: tuple[Buffer, ...] = ()
    blob: str = ""  # sha256 hex; then `data` is empty


class RemoteFailure(Struct, array_like=True, frozen=True, gc=False):
    """An exception as it crosses: readable everywhere, and rebuilt by a Python client that can unpickle `pickled`.

    msgpack of this is the `data` of a Result or Output whose status is ERROR, TIMEOUT or CANCELLED, whatever the input's format.
    """

    type: str  # qualified name, such as "builtins.ValueError"
    message: str
    traceback: str  # formatted, user frames only
    code: str = "aborted"  # of core.errors, when a Freehold error was raised
    pickled: bytes = b""  # cloudpickle of the exception; empty when it cannot be pickled


class Input(Struct, array_like=True, frozen=True, gc=False):
    index: int
    payload: Payload
    method: str = ""


# ---- client -> server


class Hello(Frame, frozen=True, tag=1):
    token: str
    protocol: int
    client: str = ""  # the program's name and version, for the log
    environment: str = ""  # whose functions it calls; "": the instance's own, or `main`


class Submit(Frame, frozen=True, tag=2):
    """Run `function` on these inputs. `more` says that Extend follows."""

    call: str
    function: str  # function id
    kind: Literal["remote", "spawn", "map", "generator"]
    inputs: list[Input]
    more: bool = False
    parameters: bytes = (
        b""  # canonical msgpack of a Cls's parameters: list of [name, value], by name; b"" when there are none
    )
    parent: str = ""  # the call in whose code this one was made
    again: bool = False  # sent before, perhaps: the link broke meanwhile
    key: str = ""  # idempotency key
    variant: str = ""  # id of the overrides to run it with, as the server gave it; "" when there are none
    digest: bytes = b""  # of a JSON call's arguments; its key stands for these only
    parent_index: int = 0  # the input of `parent`


class Extend(Frame, frozen=True, tag=3):
    call: str
    inputs: list[Input]
    more: bool = False


class Cancel(Frame, frozen=True, tag=4):
    call: str
    terminate: bool = False


class Subscribe(Frame, frozen=True, tag=5):
    """Send me the outputs of this call, those that are there and those to come."""

    call: str
    index: int = -1  # -1: all
    until: int = -1  # with `index`: all from that to below this; -1: that one


class Release(Frame, frozen=True, tag=6):
    """These arena segments, received from you, are no longer looked at."""

    segments: list[str]


class Consumed(Frame, frozen=True, tag=7):
    """`count` items of a generator, or outputs of a map, were taken by the user: flow control."""

    call: str
    count: int


# ---- server -> client


class Welcome(Frame, frozen=True, tag=20):
    server: str  # its id; another id means that it restarted
    version: str
    arena: str = ""  # the arena's folder, when both are on one machine


class Accepted(Frame, frozen=True, tag=21):
    """The call is durable, with as many of its inputs."""

    call: str
    inputs: int = 1


class Refused(Frame, frozen=True, tag=22):
    """The call, or the link itself when `call` is empty, is not accepted."""

    call: str
    code: str
    message: str


class Output(Frame, frozen=True, tag=23):
    """The final outcome of one input."""

    call: str
    index: int
    status: int
    payload: Payload
    keep: list[str] = []


class Item(Frame, frozen=True, tag=24):
    """One item that a generator yielded. Also instance -> server."""

    call: str
    index: int
    attempt: int
    sequence: int
    payload: Payload


class Room(Frame, frozen=True, tag=25):
    """Send no more inputs of this call, since too many wait; or, when `open`, go on."""

    call: str
    open: bool


# ---- instance -> server


class Join(Frame, frozen=True, tag=40):
    token: str
    protocol: int
    instance: str
    pid: int


class Ready(Frame, frozen=True, tag=41):
    """User code is loaded. `endpoints` maps a web method's name ("" for a function) to `unix:PATH`, `tcp:HOST:PORT` or `inside:PATH:PORT`."""

    slots: int
    endpoints: dict[str, str]
    phases: dict[str, float]  # seconds each: fork, import, enter, ready


class StartFailed(Frame, frozen=True, tag=42):
    phase: str  # import, enter
    failure: RemoteFailure


class Result(Frame, frozen=True, tag=43):
    call: str
    index: int
    attempt: int
    status: int
    payload: Payload
    started: float  # seconds since the epoch
    ended: float
    keep: list[str] = []  # arena segments of the input that user code still looks at


class Returned(Frame, frozen=True, tag=44):
    """Inputs that were not begun, given back (after Recall, Drain)."""

    inputs: list[tuple[str, int, int]]  # call, index, attempt


class Beat(Frame, frozen=True, tag=45):
    """A heartbeat, every third of a lease."""

    running: list[tuple[str, int, int]]


# ---- server -> instance


class Execute(Frame, frozen=True, tag=60):
    call: str
    index: int
    attempt: int
    method: str
    payload: Payload
    timeout_s: float
    generator: bool = False


class Recall(Frame, frozen=True, tag=61):
    """Give back all inputs that you have not begun."""


class CancelInput(Frame, frozen=True, tag=62):
    call: str
    index: int
    attempt: int


class Drain(Frame, frozen=True, tag=63):
    """Take nothing new, give back what is not begun, run `@exit` hooks when the rest is done, and leave."""

    grace_s: float


FromClient = Hello | Submit | Extend | Cancel | Subscribe | Release | Consumed
ToClient = Welcome | Accepted | Refused | Output | Item | Room
FromInstance = Join | Ready | StartFailed | Result | Item | Returned | Beat | Release
ToInstance = Welcome | Refused | Execute | Recall | CancelInput | Drain | Release | Consumed
FromPeer = (
    Hello
    | Submit
    | Extend
    | Cancel
    | Subscribe
    | Release
    | Consumed
    | Join
    | Ready
    | StartFailed
    | Result
    | Item
    | Returned
    | Beat
)
FromServer = (
    Welcome | Accepted | Refused | Output | Item | Room | Execute | Recall | CancelInput | Drain | Release | Consumed
)
