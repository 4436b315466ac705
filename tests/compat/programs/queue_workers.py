import modal

app = modal.App("compat-queue-workers")
results = modal.Queue.from_name("compat-results", create_if_missing=True)


@app.function(max_containers=3)
def worker(jobs: modal.Queue):
    done = 0
    while (job := jobs.get(timeout=10)) is not None:
        results.put((job, job * job))
        done += 1
    return done


@app.function()
async def echo(ref: str):
    q = modal.Queue.from_id(ref)
    await q.put.aio(await q.get.aio(partition="in"), partition="out")


@app.local_entrypoint()
def main():
    results.clear(all=True)
    with modal.Queue.ephemeral() as jobs:
        calls = [worker.spawn(jobs) for _ in range(3)]
        jobs.put_many(list(range(60)))
        got = dict(results.get(timeout=20) for _ in range(60))
        jobs.put_many([None] * 3)
        print(sum(call.get() for call in calls), got == {n: n * n for n in range(60)}, results.len())
        call = echo.spawn(jobs.object_id)
        jobs.put("hello", partition="in")
        print(jobs.get(partition="out", timeout=10), call.get())
