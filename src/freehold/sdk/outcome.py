"""What came back for an input, turned into the user's value or exception. Runs in the user's thread, never the link's."""

from typing import Any

from freehold.core.errors import CancelledError, Error, FunctionTimeoutError
from freehold.protocol.frames import Item, Output, Status
from freehold.sdk import client as clients
from freehold.sdk.client import Client
from freehold.sdk.faces import blocking
from freehold.sdk.serialization import load_failure, loads


async def ready_client() -> Client:
    """A core: the process's client, connected."""
    client = clients.current()
    if not client.ready:
        await blocking(client.start)
    return client


def value_of(answer: Output | Item, client: Client) -> Any:
    """The value; raises what the user's code raised, FunctionTimeoutError or CancelledError."""
    if type(answer) is Output and answer.status != Status.OK:
        raise failure_of(answer)
    return loads(answer.payload, source=client.source)


def failure_of(output: Output) -> BaseException:
    if output.payload.data:
        error = load_failure(output.payload)
        if output.status == Status.ERROR or isinstance(error, Error):
            return error
    if output.status == Status.TIMEOUT:
        return FunctionTimeoutError(f"input {output.index} of call {output.call} ran past its function's timeout")
    if output.status == Status.CANCELLED:
        return CancelledError(f"call {output.call} was cancelled")
    return Error(f"input {output.index} of call {output.call} failed, and the server gave no reason")
