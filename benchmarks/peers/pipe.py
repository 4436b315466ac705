"""Peer: one worker behind a bare multiprocessing pipe. No queue, no records, no recovery: what a call costs at the least."""

import multiprocessing
from multiprocessing.connection import Connection

from benchmarks import work
from benchmarks.forks import measure_fresh
from benchmarks.workload import Array, Peer, main

_WINDOW = 64  # messages under way, so that neither end fills the pipe and blocks


def serve(connection: "Connection") -> None:
    while True:
        name, argument = connection.recv()
        connection.send(getattr(work, name)(argument))


class Pipe:
    pipelined = 20_000

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def call(self, value: int) -> int:
        self._connection.send(("noop", value))
        return self._connection.recv()

    def pipeline(self, count: int) -> None:
        for i in range(count):
            self._connection.send(("noop", i))
            if i >= _WINDOW:
                self._connection.recv()
        for _ in range(min(count, _WINDOW)):
            self._connection.recv()

    def echo(self, array: Array) -> Array:
        self._connection.send(("echo", array))
        return self._connection.recv()

    def stop(self) -> None:
        self._process.kill()


if __name__ == "__main__":
    peer: Peer = Pipe()
    main(peer, {"torch": measure_fresh})
