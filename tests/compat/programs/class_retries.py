"""Retries of a class are for its methods: a generator and a web endpoint beside them are not tried again. And what a cancelled call raises."""

import time

import modal

app = modal.App("compat-class-retries")


@app.cls(retries=modal.Retries(max_retries=2, backoff_coefficient=1.0, initial_delay=0.1), max_containers=1)
class Flaky:
    @modal.enter()
    def begin(self) -> None:
        self.count = 0

    @modal.method()
    def third(self) -> int:
        self.count += 1
        if self.count < 3:
            raise ValueError(self.count)
        return self.count

    @modal.method()
    def items(self):
        self.count += 1
        yield self.count
        raise ValueError(f"after {self.count}")

    @modal.fastapi_endpoint()
    def web(self) -> int:
        return self.count


@app.function()
def sleep() -> None:
    time.sleep(30)


@app.local_entrypoint()
def main() -> None:
    print(Flaky().third.remote())
    try:
        for item in Flaky().items.remote_gen():
            print("item", item)
    except ValueError as error:
        print("raised", error)
    call = sleep.spawn()
    call.cancel()
    try:
        call.get()
    except modal.exception.RemoteError as error:
        print(type(error).__name__, isinstance(error, modal.exception.CancelledError))
