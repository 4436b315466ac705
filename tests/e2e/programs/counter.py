"""A class with state, a parameter and hooks."""

import freehold

app = freehold.App("e2e-counter")


@app.cls()
class Counter:
    start: int = freehold.parameter(default=10)

    @freehold.enter(snap=True)
    def warm(self):
        self.hooks = ["snap"]

    @freehold.enter()
    def load(self):
        self.hooks.append("enter")
        self.value = self.start

    @freehold.method()
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @freehold.method()
    def seen(self) -> list[str]:
        return self.hooks

    @freehold.exit()
    def leave(self):
        print("leaving with", self.value)


@app.local_entrypoint()
def main() -> None:
    counter = Counter()
    print([counter.add.remote(n) for n in (1, 2, 3)], counter.seen.remote())
    print(Counter(start=100).add.remote())
