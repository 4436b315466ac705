"""Functions whose calls run on several ranks at once, which talk to each other by their addresses."""

import os
import socket
import sys
import time

import modal
import modal.experimental

app = modal.App("compat-clustered")
PORT = 18_531


def all_reduce(value: int) -> int:
    """The sum of all ranks' values: each sends its own to rank 0, which sends the sum back."""
    info = modal.experimental.get_cluster_info()
    size, here = len(info.container_ips), info.container_ips[info.rank]
    if info.rank == 0:
        with socket.create_server((here, PORT), backlog=size) as listener:
            others = [listener.accept()[0] for _ in range(size - 1)]
            total = value + sum(int(other.recv(64)) for other in others)
            for other in others:
                with other:
                    other.sendall(str(total).encode())
            return total
    for _ in range(200):
        try:
            with socket.create_connection((info.container_ips[0], PORT), source_address=(here, 0)) as first:
                first.sendall(str(value).encode())
                return int(first.recv(64))
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise TimeoutError("rank 0 does not answer")


@app.function(cpu=0.25)
@modal.experimental.clustered(size=3)
def reduce(value: int) -> "tuple[int, int, int, list[str]]":
    info = modal.experimental.get_cluster_info()
    total = all_reduce(value * 10**info.rank)
    print(f"rank {info.rank} of {info.cluster_id[:3]} {os.environ['MODAL_TASK_ID'][-2:]} has {total}")
    return info.rank, total, len(set(info.container_ips)), info.container_ipv4_ips


@app.function(gpu="A10G:2")
@modal.clustered(size=2)
async def devices() -> "list[int]":
    """Every rank has devices of its own."""
    cluster = modal.Cluster.from_context()
    rank = cluster.container_rank()
    print("devices", rank, os.environ["FREEHOLD_DEVICES_GIVEN"])
    return [cluster.container_rank(c) for c in cluster.container_ids()]


@app.function(timeout=30, retries=0)
@modal.clustered(size=3)
def fails(rank: int, how: str) -> int:
    """One rank fails while the others wait for ever."""
    if modal.experimental.get_cluster_info().rank == rank:
        if how == "raise":
            raise ValueError(f"rank {rank} gives up")
        sys.stdout.flush()
        os.kill(os.getpid(), 9)
    time.sleep(3600)
    return 0


@app.function()
@modal.clustered(size=2)
def pid() -> int:
    return os.getpid()


@app.cls()
@modal.clustered(size=2)
class Trainer:
    @modal.enter()
    def enter(self):
        self.rank = modal.experimental.get_cluster_info().rank
        print(f"entered {self.rank}")

    @modal.method()
    def step(self, value: int) -> int:
        return all_reduce(value + self.rank)

    @modal.exit()
    def leave(self):
        print(f"left {self.rank}", flush=True)


@app.local_entrypoint()
def main():
    rank, total, addresses, ips = reduce.remote(1)
    print("reduced", rank, total, addresses, all(ip.startswith("127.") for ip in ips))
    print("again", reduce.remote(2)[1])
    print("steps", Trainer().step.remote(5), Trainer().step.remote(7))
    print("ids", devices.remote())
    try:
        modal.experimental.get_cluster_info()
    except modal.exception.InvalidError as error:
        print(str(error)[:30])


@app.local_entrypoint()
def failing():
    for how in ("raise", "die"):
        for rank in (0, 2):
            began = time.monotonic()
            try:
                fails.remote(rank, how)
            except (ValueError, modal.exception.Error) as error:
                print(type(error).__name__, error, time.monotonic() - began < 20)
    print("goes on", pid.remote() == pid.remote())
