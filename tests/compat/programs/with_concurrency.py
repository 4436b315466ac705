"""`with_concurrency` and `with_batching`: several inputs an instance, or lists of them."""

import threading

import modal

app = modal.App("compat-with-concurrency")


@app.function(max_containers=1)
def meet(_: int) -> bool:
    try:
        barrier.wait(timeout=20)
    except threading.BrokenBarrierError:
        return False
    return True


barrier = threading.Barrier(4)


@app.cls(max_containers=1)
class Doubler:
    @modal.method()
    def double(self, x):
        return [2 * each for each in x] if isinstance(x, list) else 2 * x


@app.function(max_containers=1)
def lengths(x):
    return [len(x)] * len(x) if isinstance(x, list) else 1


@app.local_entrypoint()
def main():
    print("together", list(meet.with_concurrency(max_inputs=4).map(range(4))))
    batched = Doubler.with_batching(max_batch_size=4, wait_ms=200)
    print("doubled", list(batched().double.map(range(8))), Doubler().double.remote(4))
    sizes = list(lengths.with_batching(max_batch_size=4, wait_ms=500).map(range(8)))
    print("batches", max(sizes) > 1, lengths.remote(1))
    try:
        Doubler.with_concurrency(max_inputs=0)
    except modal.exception.InvalidError as error:
        print(error)
