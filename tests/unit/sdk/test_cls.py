"""Classes: parameters, hooks, methods, local objects."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from tests.unit.sdk.fake_server import FakeServer

import freehold
from freehold.core.errors import InvalidError, NotFoundError
from freehold.sdk.cls import Cls, construct, decode_parameters, encode_parameters, hooks, parameters
from freehold.sdk.function import Function

app = freehold.App("counters")


class Base:
    @freehold.enter(snap=True)
    def load(self) -> None:
        self.steps = ["load"]


@app.cls(timeout=20)
class Counter(Base):
    """Counts."""

    start: int = freehold.parameter(default=0)
    name: str = freehold.parameter(default="c")
    cache: int = freehold.parameter(default=7, init=False)

    @freehold.enter()
    def open(self) -> None:
        self.steps.append("open")

    @freehold.method()
    def add(self, n: int) -> int:
        return self.start + n + self.more()

    @freehold.method()
    def twice(self, n: int) -> int:
        return self.add(n) + self.add.local(n)

    @freehold.method()
    def upto(self, n: int) -> Iterator[int]:
        yield from range(self.start, n)

    @freehold.fastapi_endpoint(method="POST")
    def web(self) -> list[str]:
        return self.steps

    @freehold.exit()
    def close(self) -> None: ...

    def more(self) -> int:
        return 0


@app.function()
def alone() -> None: ...


@app.cls()
class Named:
    key: str = freehold.parameter()
    data: bytes = freehold.parameter(default=b"d")
    on: bool = freehold.parameter(default=True)

    @freehold.method()
    def show(self) -> tuple[str, bytes, bool]:
        return self.key, self.data, self.on

    @freehold.method()
    def show_remote(self) -> tuple[str, bytes, bool]:
        return self.show.remote()


@pytest.fixture
def running(server: FakeServer) -> Iterator[FakeServer]:
    with app.run():
        yield server


def cls_of(decorated: object) -> Cls:
    assert isinstance(decorated, Cls)
    return decorated


def test_methods_run_in_an_instance(running: FakeServer) -> None:
    total: int = Counter().add.remote(2)
    assert total == 2
    assert Counter(start=10).add.remote(2) == 12
    assert Counter(start=10).twice.remote(1) == 22
    assert list(Counter(start=2).upto.remote_gen(5)) == [2, 3, 4]
    assert list(Counter().add.map([1, 2])) == [1, 2]
    assert cast("Any", Counter().web).get_web_url() == "http://127.0.0.1:1/Counter/web"


def test_equal_objects_have_equal_parameters(running: FakeServer) -> None:
    Counter().add.remote(1)
    Counter(start=0, name="c").add.remote(1)
    Counter(name="d", start=1).add.remote(1)
    sent = [s.parameters for s in running.submits]
    assert sent[:2] == [b"", b""]
    assert decode_parameters(sent[2]) == {"name": "d", "start": 1}


def test_an_object_calls_its_own_methods_elsewhere(running: FakeServer) -> None:
    assert Named(key="k").show.remote() == ("k", b"d", True)
    assert Named(key="k", data=b"e", on=False).show_remote.remote() == ("k", b"e", False)
    assert running.submits[-1].parameters == running.submits[-2].parameters


def test_a_local_object_runs_its_hooks_once() -> None:
    counter = Counter(start=3)
    assert counter.add.local(1) == 4
    assert counter.twice.local(1) == 8
    assert counter.steps == ["load", "open"]
    assert counter.cache == 7


def test_hooks_are_found_bases_first() -> None:
    found = hooks(cls_of(Counter).raw)
    assert [f.__name__ for f in found.snap] == ["load"]
    assert [f.__name__ for f in found.enter] == ["open"]
    assert [f.__name__ for f in found.exit] == ["close"]
    assert list(found.methods) == ["add", "twice", "upto", "web"]


def test_parameters_are_described() -> None:
    described = parameters(cls_of(Named).raw)
    assert [(p.name, p.type, p.default, p.required) for p in described] == [
        ("key", "str", None, True),
        ("data", "bytes", None, False),
        ("on", "bool", True, False),
    ]
    assert [p.name for p in parameters(cls_of(Counter).raw)] == ["start", "name"]


def test_construct_makes_the_users_object() -> None:
    made = construct(
        cls_of(Named).raw, decode_parameters(encode_parameters("Named", {"key": "k"}, parameters(cls_of(Named).raw)))
    )
    assert made.show() == ("k", b"d", True)
    with pytest.raises(InvalidError, match="lacks its parameter 'key'"):
        construct(cls_of(Named).raw, {})
    with pytest.raises(InvalidError, match=r"Named\(no=…\): no such parameter; it has key, data, on"):
        construct(cls_of(Named).raw, {"key": "k", "no": 1})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"lacks its parameter 'key': write Named\(key=…\)"),
        ({"key": "k", "no": 1}, "no such parameter; it has key, data, on"),
        ({"key": 5}, "of type str, not int"),
        ({"key": "k", "on": 1}, "of type bool, not int"),
    ],
)
def test_wrong_parameters_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        cast("Any", Named)(**values)


def test_what_needs_an_object_says_so() -> None:
    with pytest.raises(InvalidError, match=r"Counter.add needs an object: write Counter\(\).add"):
        _ = Counter.add
    with pytest.raises(InvalidError, match=r"start=…\): the number has 71 bits"):
        Counter(start=2**70)
    with pytest.raises(InvalidError, match="given by name"):
        cast("Any", Counter)(3)


def test_from_name(server: FakeServer) -> None:
    app.deploy()
    app._ended()
    counter = freehold.Cls.from_name("counters", "Counter")
    assert counter(start=5).add.remote(1) == 6
    with pytest.raises(NotFoundError, match=r"no method 'steps': it has add, .*its code is not here"):
        _ = counter().steps
    with pytest.raises(InvalidError, match=r"Counter\(start='5'\): the parameter is of type int"):
        _ = counter(start="5").add
    with pytest.raises(InvalidError, match=r"Counter\(strat=…\): no such parameter; it has start, name"):
        _ = counter(strat=5).add
    assert counter(start=0).add.remote(1) == counter().add.remote(1) == 1
    assert len({s.parameters for s in server.submits}) == 2, "an object that is given its defaults is the same object"
    method = freehold.Function.from_name("counters", "Counter.add")
    assert method.remote(1) == 1
    assert isinstance(method, Function)


def test_a_wrong_kind_of_name(server: FakeServer) -> None:
    app.deploy()
    app._ended()
    with pytest.raises(InvalidError, match=r"'Counter' is a class: name its method, such as 'Counter\.add'"):
        freehold.Function.from_name("counters", "Counter").remote()
    with pytest.raises(NotFoundError, match=r"'Counter' has no method 'nope'; it has add, "):
        freehold.Function.from_name("counters", "Counter.nope").remote()
    with pytest.raises(NotFoundError, match=r"'alone' is a function: use Function\.from_name\('counters', 'alone'\)"):
        _ = freehold.Cls.from_name("counters", "alone")().anything


def test_a_class_that_came_by_value_knows_its_own_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    made = construct(cls_of(Counter).raw, {"start": 4})
    monkeypatch.setattr(cls_of(Counter), "_raw", None)  # as a Cls is restored
    assert made.add.name == "Counter.add"
