"""Mistakes of calls: each ends the program with a message that names the value, the cause and the fix."""

import threading

import modal

app = modal.App("compat-mistakes")


@app.function()
def plain(x):
    return x


@app.function()
def numbers(count: int):
    yield from range(count)


@app.function()
def makes_a_lock():
    return threading.Lock()


@app.cls()
class Model:
    size: int = modal.parameter(default=1)
    cache: dict = modal.parameter(default=None, init=False)

    @modal.method()
    def run(self) -> tuple:
        return self.size, self.cache


@app.local_entrypoint()
def main(what: str):
    {
        "argument": lambda: plain.remote(threading.Lock()),
        "result": makes_a_lock.remote,
        "generator": lambda: numbers.remote(3),
        "spawned-generator": lambda: numbers.spawn(3),
        "mapped-generator": lambda: list(numbers.map([3])),
        "not-a-generator": lambda: list(plain.remote_gen(3)),
        "direct": lambda: plain(3),
        "positional": lambda: Model(3),
        "no-parameter": lambda: Model(speed=3),
        "wrong-type": lambda: Model(size="3"),
        "not-given": lambda: Model(cache={}),
        "expired": lambda: modal.FunctionCall.from_id("fc-" + "0" * 28).get(timeout=5),
        "not-a-call": lambda: modal.FunctionCall.from_id("nonsense"),
        "option": lambda: plain.with_options(tiemout=3),
        "minimum": lambda: plain.with_options(min_containers=3),
        "batched": lambda: modal.Function.from_name("compat-no-such-app", "f").remote(),
        "ok": lambda: print(Model().run.remote(), Model(size=2).run.remote()),
    }[what]()
