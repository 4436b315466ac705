"""The queue of a pool: turns between clients and calls, order within a call, true counts, the same time at any length."""

import time

from hypothesis import given
from hypothesis import strategies as st

from freehold.protocol.frames import Buffer, Payload
from freehold.server.dispatch.queue import Queue
from freehold.server.dispatch.task import LiveCall, Task


def _call(name: str, client: str = "one") -> LiveCall:
    call = LiveCall(name, "map", workspace="main", created=0.0)
    call.client = client
    return call


def _tasks(call: LiveCall, count: int, first: int = 0) -> list[Task]:
    return [Task(call, n, "", Payload(b"1234"), 0.0) for n in range(first, first + count)]


def _fill(queue: Queue, *tasks: list[Task]) -> None:
    for some in tasks:
        for task in some:
            queue.push(task)


def _names(queue: Queue) -> list[str]:
    return [f"{t.call.id}{t.index}" for t in (queue.pop() for _ in range(len(queue)))]


def test_calls_take_turns() -> None:
    queue = Queue()
    _fill(queue, _tasks(_call("a"), 4), _tasks(_call("b"), 1), _tasks(_call("c"), 2))
    assert _names(queue) == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]
    assert not queue


def test_clients_take_turns_however_many_calls_they_make() -> None:
    queue = Queue()
    for n in range(50):
        _fill(queue, _tasks(_call(f"s{n}.", client="many"), 1))
    _fill(queue, _tasks(_call("a", client="other"), 2))
    assert _names(queue)[:4] == ["s0.0", "a0", "s1.0", "a1"]


def test_what_is_put_back_comes_first_in_its_order() -> None:
    queue = Queue()
    a, b = _tasks(_call("a"), 4), _tasks(_call("b"), 2)
    _fill(queue, a, b)
    taken = [queue.pop() for _ in range(4)]
    assert [t.index for t in taken] == [0, 0, 1, 1]
    queue.push_front([a[0], a[1]])
    queue.push_front([b[0]])
    assert _names(queue) == ["b0", "a0", "a1", "a2", "a3"]


def test_what_ended_while_it_waited_counts_no_more() -> None:
    queue = Queue()
    a, b = _tasks(_call("a"), 3), _tasks(_call("b"), 1)
    _fill(queue, a, b)
    queue.discard(a[1])
    queue.discard(a[1])
    queue.discard(b[0])
    assert (len(queue), queue.held_bytes) == (2, 8)
    assert _names(queue) == ["a0", "a2"]
    queue.discard(a[0])
    assert (len(queue), queue.held_bytes) == (0, 0)


def test_bytes_are_those_in_this_process() -> None:
    queue = Queue()
    here, elsewhere = Buffer("inline", data=b"12345", size=5), Buffer("arena", segment="in.1", size=10**9)
    queue.push(Task(_call("a"), 0, "", Payload(b"1", buffers=(here, elsewhere)), 0.0))
    assert queue.held_bytes == 6
    queue.pop()
    assert queue.held_bytes == 0


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["push", "pop", "discard", "back"])), max_size=200))
def test_nothing_is_lost_and_a_call_keeps_its_order(steps: list[tuple[str, str]]) -> None:
    queue, calls = Queue(), {n: _call(n, client="12"[n in "ab"]) for n in "abcd"}
    made = dict.fromkeys("abcd", 0)
    inside: dict[str, list[int]] = {n: [] for n in "abcd"}
    last: Task | None = None
    for name, step in steps:
        if step == "push":
            [task] = _tasks(calls[name], 1, made[name])
            made[name] += 1
            queue.push(task)
            inside[name].append(task.index)
        elif step == "pop" and queue:
            first = queue.first
            last = queue.pop()
            assert last is first
            assert inside[last.call.id].pop(0) == last.index
        elif step == "back" and last is not None and last.index not in inside[last.call.id]:
            queue.push_front([last])
            inside[last.call.id].insert(0, last.index)
        elif step == "discard" and queue:
            task = list(queue)[len(steps) % len(queue)]
            queue.discard(task)
            inside[task.call.id].remove(task.index)
            last = None if last is task else last
        assert len(queue) == sum(map(len, inside.values()))
        assert queue.held_bytes == 4 * len(queue)
    assert {n: [t.index for t in queue if t.call.id == n] for n in "abcd"} == inside


def test_a_step_takes_the_same_time_at_any_length() -> None:
    short, long = Queue(), Queue()
    _fill(short, *(_tasks(_call(f"c{n}", client=f"{n % 7}"), 1) for n in range(100)))
    _fill(long, *(_tasks(_call(f"c{n}", client=f"{n % 7}"), 1) for n in range(50_000)), _tasks(_call("map"), 50_000))

    assert min(_churn(long) for _ in range(5)) < 10 * min(_churn(short) for _ in range(5)) + 0.002


def _churn(queue: Queue) -> float:
    begun = time.perf_counter()
    for _ in range(500):
        queue.push(queue.pop())
    return time.perf_counter() - begun
