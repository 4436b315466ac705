"""Calls: remote, generators, spawn, nested and async ones, errors, and what happens when the link breaks."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from tests.unit.sdk.fake_server import FakeServer, until

import freehold
from freehold.core.errors import ConnectionError, ExecutionError, InvalidError, NotFoundError, RemoteError
from freehold.core.ids import new_id
from freehold.sdk import client as clients
from freehold.sdk.client import Client

app = freehold.App("sums")
released = threading.Event()


class OddError(Exception):
    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"{number} is {why}")
        self.number = number


class Unrepeatable(Exception):  # noqa: N818
    """Cannot be pickled: it holds a lock."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.lock = threading.Lock()


@app.function()
def add(a: int, b: int = 1) -> int:
    return a + b


@app.function()
async def add_async(a: int) -> int:
    await asyncio.sleep(0)
    return a + 1


@app.function()
def count(n: int) -> Iterator[int]:
    yield from range(n)


@app.function()
def fail(how: str) -> None:
    if how == "builtin":
        raise ValueError("no good")
    if how == "own":
        raise OddError(3, "odd")
    if how == "exit":
        raise SystemExit(3)
    raise Unrepeatable(1, 2)


@app.function()
def nested(a: int) -> int:
    return add.remote(a) + add.remote(a)


@app.function()
def which() -> tuple[str | None, str | None]:
    return freehold.current_function_call_id(), freehold.current_input_id()


@app.function()
def apply(function: "freehold.Function[..., int]", n: int) -> int:
    return function.remote(n)


@app.function()
def wait() -> str:
    assert released.wait(5)
    return "released"


@pytest.fixture
def running(server: FakeServer) -> Iterator[FakeServer]:
    released.clear()
    with app.run():
        yield server
    released.set()


async def soon(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not done():  # noqa: ASYNC110 (what it watches lives in another thread)
            await asyncio.sleep(0.005)


def test_remote_returns_the_result(running: FakeServer) -> None:
    result: int = add.remote(1, b=2)
    assert result == 3
    assert add.remote(5) == 6
    assert add_async.remote(5) == 6


async def test_remote_aio_runs_on_the_users_loop(running: FakeServer) -> None:
    assert await asyncio.gather(*(add.remote.aio(i) for i in range(50))) == [i + 1 for i in range(50)]


def test_local_runs_here(running: FakeServer) -> None:
    assert add.local(1, 2) == 3
    assert asyncio.run(add_async.local(1)) == 2
    assert not running.submits


def test_a_direct_call_says_how_to_call(running: FakeServer) -> None:
    with pytest.raises(InvalidError, match=r"'add' cannot be called directly.*\.remote.*\.local"):
        add(1)


def test_generators_stream(running: FakeServer) -> None:
    assert list(count.remote_gen(5)) == [0, 1, 2, 3, 4]
    assert running.submits[-1].kind == "generator"


async def test_generators_stream_on_the_users_loop(running: FakeServer) -> None:
    assert [i async for i in count.remote_gen.aio(5)] == [0, 1, 2, 3, 4]


def test_a_generator_that_is_left_is_cancelled(running: FakeServer) -> None:
    numbers = count.remote_gen(100_000)
    assert next(numbers) == 0
    numbers.close()
    until(lambda: running.cancelled == [running.submits[-1].call])


def test_verbs_that_do_not_fit_are_refused(running: FakeServer) -> None:
    with pytest.raises(InvalidError, match="remote_gen"):
        count.remote(3)
    with pytest.raises(InvalidError, match="not a generator"):
        list(add.remote_gen(3))
    with pytest.raises(InvalidError, match="generator"):
        list(count.map([3]))


def test_errors_come_back_as_they_were_raised(running: FakeServer) -> None:
    with pytest.raises(ValueError, match="no good") as caught:
        fail.remote("builtin")
    note = "".join(caught.value.__notes__)
    assert "Remote traceback" in note
    assert "raise ValueError" in note
    assert "freehold/sdk" not in note
    assert caught.value.__cause__ is None


def test_an_error_whose_class_cannot_come_back_is_told(running: FakeServer) -> None:
    with pytest.raises(RemoteError, match="Unrepeatable: 1 and 2"):
        fail.remote("unrepeatable")
    with pytest.raises(OddError, match="3 is odd"):  # two arguments make one message: put together without its __init__
        fail.remote("own")


def test_a_remote_exit_does_not_end_the_caller(running: FakeServer) -> None:
    with pytest.raises(RemoteError, match="SystemExit"):
        fail.remote("exit")


def test_nested_calls_name_their_parent(running: FakeServer) -> None:
    assert nested.remote(1) == 4
    outer, *inner = running.submits
    assert [s.parent for s in inner] == [outer.call, outer.call]
    assert outer.parent == ""


def test_user_code_knows_its_call(running: FakeServer) -> None:
    call, one = which.remote()
    assert call == running.submits[-1].call
    assert one == f"{call}:0"
    assert freehold.current_function_call_id() is None


def test_handles_are_arguments_too(running: FakeServer) -> None:
    assert apply.remote(add, 4) == 5


def test_spawn_returns_before_the_result(running: FakeServer) -> None:
    call = wait.spawn()
    with pytest.raises(TimeoutError):
        call.get(timeout=0)
    released.set()
    assert call.get(timeout=5) == "released"
    assert call.get() == "released"
    assert freehold.FunctionCall.from_id(call.object_id).get(timeout=5) == "released"


def test_gather_keeps_the_order(running: FakeServer) -> None:
    assert freehold.FunctionCall.gather(add.spawn(1), add.spawn(2), add.spawn(3)) == [2, 3, 4]
    with pytest.raises(ValueError, match="no good"):
        freehold.FunctionCall.gather(add.spawn(1), fail.spawn("builtin"))


async def test_spawn_and_get_on_the_users_loop(running: FakeServer) -> None:
    calls = await asyncio.gather(*(add.spawn.aio(i) for i in range(20)))
    assert await freehold.FunctionCall.gather.aio(*calls) == [i + 1 for i in range(20)]


def test_the_results_of_a_call_are_iterated(running: FakeServer) -> None:
    call = add.spawn(3)
    assert list(call.iter()) == [4]
    assert list(call.iter(start=1)) == []
    with pytest.raises(ValueError, match="no good"):
        list(fail.spawn("builtin").iter())


def test_a_generator_is_not_spawned(running: FakeServer) -> None:
    with pytest.raises(InvalidError, match=r"\.spawn of 'count': it is a generator.*use \.remote_gen"):
        count.spawn(3)


def test_cancel(running: FakeServer) -> None:
    call = wait.spawn()
    call.cancel()
    with pytest.raises(freehold.exception.CancelledError):
        call.get(timeout=5)
    assert running.cancelled == [call.object_id]


async def test_a_cancelled_task_cancels_its_call(running: FakeServer) -> None:
    task = asyncio.create_task(wait.remote.aio())
    await soon(lambda: bool(running.submits))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await soon(lambda: bool(running.cancelled))
    assert running.cancelled == [running.submits[0].call]


def test_an_unknown_call_is_not_found(running: FakeServer) -> None:
    with pytest.raises(NotFoundError):
        freehold.FunctionCall.from_id(new_id("fc")).get(timeout=5)
    with pytest.raises(InvalidError, match="not the id of a call"):
        freehold.FunctionCall.from_id("nonsense")


def test_calls_outlive_a_broken_link(running: FakeServer) -> None:
    results: list[str] = []
    caller = threading.Thread(target=lambda: results.append(wait.remote()))
    caller.start()
    until(lambda: bool(running.submits))
    running.break_links()
    until(lambda: len(running.submits) == 2)
    first, second = running.submits
    assert (second.call, second.again, first.again) == (first.call, True, False)
    released.set()
    caller.join(5)
    assert results == ["released"]


def test_calls_fail_when_the_server_stays_away(running: FakeServer) -> None:
    client = Client(running.target, give_up_s=0.05)
    clients.use(client)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            wait.remote()
        except ConnectionError as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: bool(running.submits))
    running.link_path.unlink()
    running.break_links()
    caller.join(5)
    assert "freehold up --detach" in str(errors[0])
    assert client.dead


def test_a_function_of_an_app_that_does_not_run_says_so(server: FakeServer) -> None:
    with pytest.raises(ExecutionError, match=r"its app does not run.*freehold run.*from_name\(.sums., .add.\)"):
        add.remote(1)


def test_from_name_finds_deployed_functions(server: FakeServer) -> None:
    app.deploy()
    app._ended()
    assert freehold.Function.from_name("sums", "add").remote(1) == 2
    with pytest.raises(NotFoundError, match="no function 'nope'"):
        freehold.Function.from_name("sums", "nope").remote(1)


async def test_async_iteration_types(running: FakeServer) -> None:
    numbers: AsyncIterator[int] = count.remote_gen.aio(2)
    assert [n async for n in numbers] == [0, 1]
