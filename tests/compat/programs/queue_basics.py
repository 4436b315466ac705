import queue

import modal

app = modal.App("compat-queue-basics")


def raised(ask):
    try:
        return ask()
    except (queue.Empty, queue.Full, modal.exception.Error) as error:
        return type(error).__name__


@app.local_entrypoint()
def main():
    with modal.Queue.ephemeral() as q:
        q.put(1)
        q.put_many(["two", {"three": 3}])
        q.put("other", partition="p")
        print(q.len(), q.len(partition="p"), q.len(total=True), list(q.iterate()), q.name)
        print(q.get(), q.get_many(10), q.get(block=False), q.get_many(3, block=False), q.get(partition="p"))
        print(raised(lambda: q.get(timeout=0.1)), raised(lambda: q.get_many(2, timeout=0.1)))
        q.put_many(list(range(5000)), partition="full")
        print(
            raised(lambda: q.put(1, block=False, partition="full")),
            raised(lambda: q.put_many([1], timeout=0.1, partition="full")),
        )
        print(
            raised(lambda: q.put(1, partition="")),
            raised(lambda: q.put(1, partition="x" * 65)),
            raised(lambda: q.put(b"x" * 2**20)),
        )
        q.put("nul", partition="a\0b")
        print(q.get(partition="a\0b"), q.get(partition="full"), q.len(partition="full"))
        q.clear(partition="full")
        q.put("soon gone", partition="t", partition_ttl=1)
        q.put(1)
        q.clear(all=True)
        print(q.len(total=True))
