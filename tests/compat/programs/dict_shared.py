import modal

app = modal.App("compat-dict-shared")
counts = modal.Dict.from_name("compat-shared", create_if_missing=True)


class Point:
    def __init__(self, x):
        self.x = x


@app.function(max_containers=2)
def square(x: int):
    counts[x] = Point(x * x)
    return counts.put("first", x, skip_if_exists=True)


@app.function()
def fill(d: modal.Dict, ref: str):
    d["from inside"] = 1
    modal.Dict.from_id(ref)["by id"] = 2


@app.function()
async def later(x: int):
    await counts.put.aio("later", x)
    return await counts.get.aio("later")


@app.local_entrypoint()
def main():
    counts.clear()
    print(sum(square.map(range(10))))
    print([counts[x].x for x in range(10)], counts.len())
    with modal.Dict.ephemeral() as d:
        fill.remote(d, d.object_id)
        print(sorted(d.items()))
    print(later.remote(5), counts["later"])
