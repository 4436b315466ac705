"""spawn_map: many inputs, sent whole, whose results are had later and by whomever."""

import time

import modal

app = modal.App("compat-spawn-map")


@app.function()
def square(x: int, plus: int = 0) -> int:
    if x == -1:
        raise ValueError("no minus one")
    return x * x + plus


@app.function()
def slowly(x: int) -> int:
    time.sleep(1)
    return x


@app.function()
async def inside() -> list:
    async def numbers():
        for n in range(5):
            yield n

    call = await square.spawn_map.aio(numbers(), kwargs={"plus": 1})
    return [value async for value in call.iter.aio()]


@app.local_entrypoint()
def main(count: int = 1200):
    call = square.spawn_map(range(count), kwargs={"plus": 1})
    print(type(call).__name__, call.num_inputs(), call.get(index=3))
    print(sum(call.iter()) == sum(x * x + 1 for x in range(count)), list(call.iter(start=2, end=4)))
    print(modal.FunctionCall.from_id(call.object_id).get(index=count - 1))
    print(list(square.spawn_map([1, 2], [10, 20]).iter()), list(square.spawn_map([]).iter()))
    print(inside.remote())
    failing = square.experimental_spawn_map(iter([1, -1]))
    for attempt in (lambda: list(failing.iter()), lambda: failing.get(index=2), lambda: failing.iter(end=5).__next__()):
        try:
            attempt()
        except (ValueError, modal.exception.InvalidError) as error:
            print(type(error).__name__, str(error).replace(failing.object_id, "ID"))
    try:
        slowly.spawn_map([1, 2, 3]).get(timeout=0.1, index=2)
    except TimeoutError as error:
        print("TimeoutError", "has not ended within 0.1 s" in str(error))


@app.local_entrypoint()
def start(count: int):
    print(square.spawn_map(range(count)).object_id)
