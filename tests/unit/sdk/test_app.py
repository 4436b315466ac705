"""Apps: what they declare as specs, what they refuse, and how they come up and go down."""

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import pytest
from tests.unit.sdk.fake_server import FakeServer

import freehold
from freehold.core.errors import (
    AlreadyExistsError,
    DeprecationError,
    ImageBuildError,
    InvalidError,
    NotFoundError,
)
from freehold.core.specs import Batching, FunctionSpec, Retries
from freehold.sdk import client as clients
from freehold.sdk.source import Bundles


def spec_of(app: freehold.App, name: str) -> FunctionSpec:
    with Bundles() as bundles:
        return next(f for f in app.spec(bundles).functions if f.name == name)


def job(n: int, *, label: str = "x", where: "os.PathLike[str] | None" = None) -> str:
    """Does a job.

    In detail.
    """
    return f"{n}{label}{where}"


def fresh(function: Callable[..., Any]) -> Any:
    """A copy without the marks that a decorator leaves."""
    assert isinstance(function, FunctionType)
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    copy.__kwdefaults__, copy.__annotations__, copy.__doc__ = (
        function.__kwdefaults__,
        function.__annotations__,
        function.__doc__,
    )
    return copy


def numbers() -> Iterator[int]:
    yield 1


class Model:
    size: int = freehold.parameter(default=1)

    @freehold.enter(snap=True)
    def load(self) -> None: ...

    @freehold.batched(max_batch_size=8, wait_ms=5)
    def predict(self, items: list[int]) -> list[int]:
        return items


def test_every_option_reaches_the_spec() -> None:
    app = freehold.App(
        "all", secrets=[freehold.Secret.from_name("shared")], volumes={"/shared": freehold.Volume.from_name("s")}
    )
    app.function(
        name="work",
        gpu=["H100", "A100-80GB:2"],
        cpu=(0.5, 2.0),
        memory=(256, 512),
        timeout=10,
        startup_timeout=20,
        retries=3,
        min_containers=1,
        max_containers=4,
        buffer_containers=2,
        scaledown_window=30,
        single_use_containers=True,
        env={"A": "1", "B": None},
        secrets=[freehold.Secret.from_dict({"K": "v"})],
        volumes={"/data": freehold.Volume.from_name("d", create_if_missing=True).read_only()},
    )(job)
    spec = spec_of(app, "work")
    assert (spec.module, spec.qualname, spec.kind) == (__name__, "job", "function")
    assert (spec.resources.gpu, spec.resources.cpu, spec.resources.cpu_limit) == (("H100", "A100-80GB:2"), 0.5, 2.0)
    assert (spec.resources.memory_mib, spec.resources.memory_limit_mib) == (256, 512)
    assert (spec.timeout_s, spec.startup_timeout_s, spec.single_use) == (10, 20, True)
    assert spec.retries == Retries(max_retries=3, backoff=1.0)
    assert (spec.scaling.min_instances, spec.scaling.max_instances, spec.scaling.buffer_instances) == (1, 4, 2)
    assert spec.scaling.scaledown_window_s == 30
    assert spec.env == {"A": "1"}
    assert [s.name or s.values for s in spec.secrets] == ["shared", {"K": "v"}]
    assert [(v.path, v.name, v.read_only, v.create_if_missing) for v in spec.volumes] == [
        ("/data", "d", True, True),
        ("/shared", "s", False, False),
    ]
    assert spec.doc == "Does a job."
    assert [s.kind for s in spec.image.steps] == ["debian_slim"]
    schema = spec.json_schema or {}
    assert schema["required"] == ["n"]
    assert schema["properties"]["n"] == {"type": "integer"}
    assert schema["properties"]["label"] == {"type": "string", "default": "x"}


def test_a_class_is_one_function_with_methods() -> None:
    app = freehold.App("cls")
    app.cls(gpu="any")(freehold.concurrent(max_inputs=4, target_inputs=2)(Model))
    spec = spec_of(app, "Model")
    assert (spec.kind, spec.snapshot, spec.is_generator) == ("cls", True, False)
    assert (spec.concurrency.max_inputs, spec.concurrency.target_inputs) == (4, 2)
    assert [(m.name, m.batching) for m in spec.methods] == [("predict", Batching(max_batch_size=8, wait_ms=5))]
    assert [p.name for p in spec.parameters] == ["size"]


def test_web_endpoints() -> None:
    app = freehold.App("web")
    app.function()(freehold.fastapi_endpoint(method="post", docs=True)(fresh(job)))
    app.function(name="site")(freehold.asgi_app(label="site")(numbers_app))
    app.function(name="port")(freehold.web_server(8000, startup_timeout=9)(numbers_app2))
    web = spec_of(app, "job").web
    assert web is not None
    assert (web.kind, web.method, web.docs) == ("fastapi_endpoint", "POST", True)
    assert spec_of(app, "site").endpoints()[""].label == "site"
    port = spec_of(app, "port").web
    assert port is not None
    assert (port.port, port.startup_timeout_s) == (8000, 9)


def numbers_app() -> object: ...
def numbers_app2() -> object: ...


def test_generators_and_serialized_functions() -> None:
    app = freehold.App("more")
    app.function()(numbers)
    assert spec_of(app, "numbers").is_generator

    @app.function(serialized=True)
    def inner(n: int) -> int:
        return n + 1

    spec = spec_of(app, "inner")
    assert spec.serialized is not None
    assert inner.local(1) == 2


def nullary(x: int) -> None: ...


class WithInit:
    def __init__(self, x: int) -> None: ...


class TwoMethods:
    @freehold.method()
    def one(self) -> None: ...

    @freehold.batched(max_batch_size=2, wait_ms=1)
    def two(self, items: list[int]) -> list[int]:
        return items


class EnterWants:
    @freehold.enter()
    def enter(self, x: int) -> None: ...


class WrongDefault:
    x: int = freehold.parameter(default="one")


def renamed(name: str) -> Callable[[], None]:
    def own() -> None: ...

    own.__name__ = own.__qualname__ = name
    return own


def twins() -> list[Callable[[], None]]:
    def twin() -> None: ...
    def other() -> None: ...

    other.__name__, other.__qualname__ = twin.__name__, twin.__qualname__ = "twin", "twin"
    return [twin, other]


class OddParameter:
    x: float = freehold.parameter(default=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpu": "A10G:99"}, r"gpu='A10G:99' is not of the form"),
        ({"gpu": 3}, "gpu=3 is of type int"),
        ({"cpu": -1}, "cpu=-1 is neither"),
        ({"cpu": (2, 1)}, "the limit is below"),
        ({"memory": (1, 2, 3)}, "memory="),
        ({"timeout": 0}, "timeout=0 is not a number of seconds between 1 and"),
        ({"timeout": "300"}, "timeout='300'"),
        ({"scaledown_window": 1}, "scaledown_window=1 .* between 2 and 3600"),
        ({"min_containers": 3, "max_containers": 2}, "min_containers=3 is more than max_containers=2"),
        ({"max_containers": 0}, "max_containers=0"),
        ({"retries": 11}, "max_retries=11 is not a number between 0 and 10"),
        ({"image": "python:3.12"}, "image='python:3.12' is not a freehold.Image"),
        ({"secrets": ["token"]}, r"is not a list of freehold.Secret: give \[freehold.Secret.from_name"),
        ({"volumes": {"data": freehold.Volume.from_name("d")}}, "cannot be mounted at 'data'"),
        ({"cpu": float("inf")}, "cpu=inf is neither"),
        ({"memory": 0.5}, "memory=0.5 is not a whole number of MiB"),
        ({"memory": 2560.5}, "memory=2560.5 is not a whole number of MiB"),
        ({"memory": 10**30}, "memory=1000"),
        ({"ephemeral_disk": -1}, "ephemeral_disk=-1 is not a whole number"),
        ({"gpu": ""}, "gpu='' is not of the form"),
        ({"retries": -1}, "@app.function on 'job': retries: max_retries=-1"),
        ({"secrets": freehold.Secret.from_name("one")}, "is not a list of freehold.Secret"),
        ({"volumes": [freehold.Volume.from_name("d")]}, "is not a dict: give"),
        (
            {"volumes": {"/etc/": freehold.Volume.from_name("d")}},
            "cannot be mounted at '/etc/', which is the system's own",
        ),
        ({"volumes": {"/a/../b": freehold.Volume.from_name("d")}}, "cannot be mounted at '/a/../b'"),
        (
            {"volumes": {"/a": freehold.Volume.from_name("d"), "/a/": freehold.Volume.from_name("e")}},
            "two volumes are mounted at '/a'",
        ),
        ({"volumes": {"/a": "d"}}, "='d' is neither a freehold.Volume"),
        ({"env": {"A": 1}}, "the value of 'A' is of type int"),
        ({"env": {"A=B": "1"}}, "'A=B' cannot name an environment variable"),
        ({"env": ["A"]}, "list is not a dict of environment variables"),
        ({"single_use_containers": "yes"}, "single_use_containers='yes' is neither True nor False"),
        ({"name": "a/b"}, "@app.function on 'job': 'a/b' cannot name a function: .*pass name="),
        ({"name": ""}, "'' cannot name a function"),
        ({"name": "x" * 65}, "cannot name a function"),
        ({"name": "a.b"}, "a dot stands between a class and its method"),
        ({"gpus": "A10G"}, "no option 'gpus'; did you mean 'gpu'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        freehold.App().function(**options)(job)


_WRONG: list[tuple[Callable[[freehold.App], object], str]] = [
    (lambda app: app.function(job), "wants parentheses"),
    (lambda app: app.function()(Model), "for a class use @app.cls"),
    (lambda app: app.cls()(job), "for a function use @app.function"),
    (lambda app: app.function()(lambda: None), "defined inside a function"),
    (lambda app: app.function(retries=1)(numbers), "retries=1 on a generator"),
    (lambda app: app.function(retries=1)(freehold.fastapi_endpoint()(numbers_app)), "retries=1 on a web endpoint"),
    (lambda app: app.function()(freehold.asgi_app()(fresh(nullary))), "called without arguments, and it wants x"),
    (lambda app: app.cls()(WithInit), "custom __init__ is not run"),
    (lambda app: app.cls()(TwoMethods), "must be the only method"),
    (lambda app: app.cls()(OddParameter), "annotated as str, int, bool or bytes, not as <class 'float'>"),
    (lambda app: freehold.concurrent(max_inputs=2)(app.function()(job)), "must stand below @app.function"),
    (lambda app: freehold.concurrent(max_inputs=0)(job), "max_inputs=0 is not a whole number"),
    (lambda app: freehold.batched(max_batch_size=1001, wait_ms=1)(job), "max_batch_size=1001"),
    (lambda app: freehold.web_server(cast("int", "8000")), "web_server.port='8000'."),
    (lambda app: freehold.fastapi_endpoint(method="GRAB"), "give an HTTP method"),
    (lambda app: freehold.enter(job), "wants parentheses"),
    (lambda app: app.function()(freehold.method()(method_alone)), "belong in a class"),
    (lambda app: [app.function(name="n")(job), app.function(name="n")(nullary)], "two functions named 'n'"),
    (lambda app: app.function()(renamed("größe")), "'größe' cannot name a function: .*pass name="),
    (lambda app: [app.function()(twice) for twice in twins()], "two functions named 'twin', on the lines"),
    (lambda app: app.cls()(EnterWants), "enter: a hook is called without arguments, and it wants x"),
    (lambda app: app.cls()(WrongDefault), "WrongDefault.x: default='one' is not of type int"),
    (lambda app: freehold.asgi_app(label="A b"), "label 'A b' is not a host name part"),
    (lambda app: freehold.web_server(8000, startup_timeout=0), "startup_timeout=0. is not a number of seconds"),
    (lambda app: freehold.App("x", image=cast("freehold.Image", "debian")), "image='debian' is not a freehold.Image"),
    (lambda app: freehold.App("x", volumes={"data": freehold.Volume.from_name("d")}), "cannot be mounted at 'data'"),
    (lambda app: freehold.Function.from_name("a b", "f"), "'a b' cannot name an app"),
    (lambda app: freehold.Cls.from_name("a", ""), "'' cannot name a class"),
    (lambda app: freehold.App("a b"), "'a b' cannot name an app: use 1 to 64"),
]


@pytest.mark.parametrize(("declare", "message"), _WRONG)
def test_wrong_declarations_are_named(declare: Callable[[freehold.App], object], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        declare(freehold.App())


def method_alone(self: object) -> None: ...


def test_a_cell_that_runs_again_replaces_its_function(tmp_path: Path) -> None:
    app, names = freehold.App(), {"__name__": "__main__"}
    for cell in ("def cell(): return 1", "\ndef cell(): return 2"):
        exec(compile(cell, f"{tmp_path}/no-such-file", "exec"), names)
        app.function()(cast("Any", names["cell"]))
    assert app.registered_functions["cell"].local() == 2


def test_a_function_may_begin_with_an_underscore() -> None:
    assert freehold.App().function()(renamed("_own")).name == "_own"


def test_a_network_is_blocked_or_it_is_not() -> None:
    app = freehold.App()
    app.function(block_network=True)(job)
    assert spec_of(app, "job").block_network
    with pytest.raises(InvalidError, match="block_network='all' is neither True nor False"):
        freehold.App().function(block_network="all")(job)  # type: ignore[arg-type]


def test_old_names_are_taken_with_a_warning() -> None:
    app = freehold.App()
    with pytest.warns(DeprecationError, match="keep_warm= is now min_containers="):
        app.function(keep_warm=2)(job)
    assert spec_of(app, "job").scaling.min_instances == 2
    with pytest.warns(UserWarning, match="no effect"):
        app.function(name="there", region="eu")(job)


def test_an_ephemeral_app_is_there_while_the_block_lasts(server: FakeServer) -> None:
    app = freehold.App("short")
    app.function()(job)
    with app.run() as running:
        assert running is app
        assert app.app_id == server.apps["short"].id
        assert server.requests[0].mode == "ephemeral"
        assert server.requests[0].client == server.hellos[0].client  # so that the server can tie them together
        with pytest.raises(InvalidError, match="runs already"):
            app.run().__enter__()
    assert server.stopped == [server.apps["short"].id]
    assert app.app_id == server.stopped[0]  # as long as the program runs
    assert app.handle is None


async def test_run_in_async_code(server: FakeServer) -> None:
    app = freehold.App("async")
    made = app.function()(job)
    async with app.run():
        assert await made.remote.aio(1) == "1xNone"
    assert len(server.stopped) == 1


def test_a_detached_app_is_left(server: FakeServer) -> None:
    app = freehold.App("long")
    with app.run(detach=True):
        assert server.requests[0].mode == "detached"
    assert server.stopped == []


def test_deploy(server: FakeServer) -> None:
    app = freehold.App()
    app.function()(job)
    with pytest.raises(InvalidError, match="has no name"):
        app.deploy()
    with pytest.raises(InvalidError, match="neither 'rolling'"):
        app.deploy(name="x", strategy="slow")
    assert app.deploy(name="named", tag="v1") is app
    request = server.requests[0]
    assert (request.mode, request.tag, request.spec.name) == ("deploy", "v1", "named")
    assert len(server.blobs) == 1  # this package, once
    app.deploy()
    assert len(server.requests) == 2


def test_functions_of_an_included_app(server: FakeServer) -> None:
    other, app = freehold.App("other"), freehold.App("main")
    made = other.function()(job)
    app.include(other)
    with app.run():
        assert made.remote(1) == "1xNone"


def test_a_failed_image_ends_the_run(server: FakeServer) -> None:
    server.image_failure = "pip_install(['nope']): no such package"
    app = freehold.App("broken")
    app.function()(job)
    with pytest.raises(ImageBuildError, match="no such package"), app.run():
        pass
    assert server.requests == []


def test_siblings_are_known_inside_an_instance(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    app = freehold.App("inside")
    made = app.function()(job)
    app.deploy()
    handle = app.handles["job"]
    app._ended()
    monkeypatch.setenv("FREEHOLD_REMOTE", "1")
    monkeypatch.setenv("FREEHOLD_FUNCTIONS", f'{{"job": {{"id": "{handle.id}", "name": "job"}}}}')
    assert made.remote(2) == "2xNone"
    assert pickle.loads(pickle.dumps(made)).remote(2) == "2xNone"
    assert not freehold.is_local()
    with pytest.raises(NotFoundError):
        freehold.Function.from_name("another-app", "job").remote(2)


def test_a_function_of_a_program_without_a_file_goes_along_by_value() -> None:
    app = freehold.App("notebook")
    names: dict[str, Any] = {"app": app, "__name__": "cell_of_a_notebook"}
    exec("@app.function()\ndef square(x):\n    return x * x", names)
    with Bundles() as bundles:
        serialized = app.spec(bundles).functions[0].serialized
    assert serialized is not None
    assert pickle.loads(serialized)(3) == 9


def test_the_public_names_are_there() -> None:
    for name in freehold.__all__:
        assert hasattr(freehold, name)
    assert sys.modules["freehold.exception"].AlreadyExistsError is AlreadyExistsError
    assert clients.current is not None


def test_importing_loads_no_web_framework() -> None:
    import subprocess

    code = "import sys, freehold; print([m for m in ('fastapi', 'uvloop', 'websockets', 'typer', 'pydantic', 'tarfile') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_amounts_that_are_whole_may_be_written_with_a_point() -> None:
    app = freehold.App("whole")
    app.function(memory=2.5 * 1024, ephemeral_disk=2e3)(job)  # pyright: ignore[reportArgumentType]
    found = spec_of(app, "job").resources
    assert (found.memory_mib, found.ephemeral_disk_mib) == (2560, 2000)
    assert isinstance(found.ephemeral_disk_mib, int)
