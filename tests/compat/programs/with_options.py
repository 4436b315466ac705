"""Overrides: the same function or class in instances of its own."""

import os

import modal

app = modal.App("compat-with-options")
base = modal.Secret.from_dict({"FROM_BASE": "base"})
data = modal.Volume.from_name("compat-with-options", create_if_missing=True)


def seen() -> tuple:
    names = ("FROM_BASE", "FROM_ENV", "FROM_SECRET")
    return tuple(os.environ.get(name) for name in names), os.path.isdir("/data")


@app.function(secrets=[base], min_containers=0)
def where() -> tuple:
    return os.environ["FREEHOLD_INSTANCE_ID"], *seen()


@app.cls(timeout=60)
class Counter:
    start: int = modal.parameter(default=0)

    @modal.enter()
    def begin(self):
        self.count = self.start

    @modal.method()
    def add(self) -> tuple:
        self.count += 1
        return self.count, seen()[0][1], os.environ["FREEHOLD_INSTANCE_ID"]


@app.function()
def pass_on(handle) -> tuple:
    return handle.remote()


@app.local_entrypoint()
def main():
    secret = modal.Secret.from_dict({"FROM_SECRET": "sealed"})
    plain = where.remote()
    other = where.with_options(env={"FROM_ENV": "env"}).with_options(secrets=[secret], volumes={"/data": data})
    varied = other.remote()
    print("plain", plain[1:])
    print("varied", varied[1:], plain[0] != varied[0])
    print(
        "equal overrides share a pool",
        where.with_options(env={"FROM_ENV": "env"}, secrets=[secret], volumes={"/data": data}).remote()[0] == varied[0],
    )
    print("passed on", pass_on.remote(other)[1:])

    one = Counter.with_options(env={"FROM_ENV": "a"})(start=10)
    print("class", one.add.remote()[:2], one.add.remote()[:2], Counter(start=10).add.remote()[:2])
    print(
        "pools",
        len(
            {o.add.remote()[2] for o in (one, Counter(start=10), Counter.with_options(env={"FROM_ENV": "b"})(start=10))}
        ),
    )
    try:
        where.with_options(timeout=0.01)
    except modal.exception.InvalidError as error:
        print("InvalidError", error)


@app.local_entrypoint()
def refused(what: str):
    options = {
        "secret": {"secrets": [modal.Secret.from_name("compat-no-such-secret")]},
        "volume": {"volumes": {"/data": modal.Volume.from_name("compat-no-such-volume")}},
        "gpu": {"gpu": "H100"},
    }[what]
    where.with_options(**options).remote()
