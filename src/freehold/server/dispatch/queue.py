"""The inputs that wait for a pool: taken in turns between clients, then between the calls of a client; in order within a call."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from freehold.server.dispatch.task import Task

Line = OrderedDict[int, Task]  # the inputs of one call, by index


class Queue:
    """Every step takes the same time, however many inputs wait. An input that ends while it waits is to be discarded."""

    def __init__(self) -> None:
        self.held_bytes = 0  # of payloads, in this process's memory
        self.size = 0
        self._clients: OrderedDict[str, OrderedDict[str, Line]] = OrderedDict()  # whose turn it is stands first

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Task]:
        """Client by client and call by call, not by turns."""
        return (task for calls in self._clients.values() for line in calls.values() for task in line.values())

    @property
    def first(self) -> Task:
        """What `pop` would take."""
        return next(iter(self))

    def push(self, task: Task) -> None:
        self._line(task)[task.index] = task
        self._count(task, 1)

    def push_front(self, tasks: Iterable[Task]) -> None:
        """Put inputs back ahead of all others, in their order; their calls have their turn again."""
        for task in reversed(list(tasks)):
            line = self._line(task)
            line[task.index] = task
            line.move_to_end(task.index, last=False)
            self._clients[task.call.client].move_to_end(task.call.id, last=False)
            self._clients.move_to_end(task.call.client, last=False)
            self._count(task, 1)

    def pop(self) -> Task:
        """Take the first input of the call whose turn it is."""
        client, calls = next(iter(self._clients.items()))
        call, line = next(iter(calls.items()))
        _, task = line.popitem(last=False)
        self._count(task, -1)
        if line:
            calls.move_to_end(call)
        else:
            del calls[call]
        if calls:
            self._clients.move_to_end(client)
        else:
            del self._clients[client]
        return task

    def discard(self, task: Task) -> None:
        """Take an input out, if it waits here."""
        calls = self._clients.get(task.call.client)
        line = calls.get(task.call.id) if calls is not None else None
        if calls is None or line is None or line.get(task.index) is not task:
            return
        del line[task.index]
        self._count(task, -1)
        if not line:
            del calls[task.call.id]
            if not calls:
                del self._clients[task.call.client]

    def clear(self) -> list[Task]:
        """Take everything out."""
        tasks = list(self)
        self._clients.clear()
        self.size = self.held_bytes = 0
        return tasks

    def _line(self, task: Task) -> Line:
        calls = self._clients.get(task.call.client)
        if calls is None:
            calls = self._clients[task.call.client] = OrderedDict()
        line = calls.get(task.call.id)
        if line is None:
            line = calls[task.call.id] = Line()
        return line

    def _count(self, task: Task, sign: int) -> None:
        payload = task.payload
        self.size += sign
        self.held_bytes += sign * len(payload.data)
        if payload.buffers:
            self.held_bytes += sign * sum(len(b.data) for b in payload.buffers)
