"""Servers as they are declared."""

from typing import Any

import pytest

import freehold
from freehold.core.errors import InvalidError
from freehold.core.specs import OPEN_REQUESTS, Concurrency, FunctionSpec
from freehold.sdk.experimental import http_server
from freehold.sdk.marks import marks
from freehold.sdk.source import Bundles


class Plain:
    @freehold.enter()
    def start(self) -> None: ...


def _declare(**options: Any) -> FunctionSpec:
    app, made = freehold.App("a"), type("Made", (), {"start": Plain.start, "__module__": __name__})
    app.server(serialized=True, **options)(made)
    with Bundles() as bundles:
        return app.spec(bundles).functions[0]


def test_a_server_is_a_class_with_one_endpoint_and_no_methods() -> None:
    spec = _declare(port=8080, exit_grace_period=30, min_containers=2)
    web = spec.web
    assert web is not None
    assert (web.kind, web.port, web.startup_timeout_s, web.requires_proxy_auth) == ("server", 8080, 30.0, True)
    assert (spec.kind, spec.methods, spec.startup_timeout_s, spec.finish_s) == ("cls", (), 30.0, 30.0)
    assert spec.concurrency == Concurrency(max_inputs=OPEN_REQUESTS)
    assert spec.scaling.min_instances == 2


def test_concurrency_is_the_limit_and_the_autoscalers_aim() -> None:
    spec = _declare(max_concurrency=8, target_concurrency=1.5, unauthenticated=True)
    assert spec.concurrency == Concurrency(max_inputs=8, target_inputs=1.5)
    assert _declare(target_concurrency=0.2).concurrency.target_inputs == 1.0
    assert _declare(target_concurrency=0).concurrency.target_inputs is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"port": 0}, "port between 1 and 65535"),
        ({"startup_timeout": 0}, "startup_timeout=0"),
        ({"exit_grace_period": -1}, "between 0 and 3600"),
        ({"exit_grace_period": 3601}, "between 0 and 3600"),
        ({"routing_region": ""}, r"routing_region=''\) is empty"),
        ({"max_concurrency": 1.5}, r"max_concurrency=1.5\) is not a whole number"),
        ({"max_concurrency": True}, r"max_concurrency=True\) is not a whole number"),
        ({"target_concurrency": -1}, "target_concurrency=-1"),
        ({"target_concurrency": float("inf")}, "target_concurrency=inf"),
        ({"target_concurrency": 9, "max_concurrency": 8}, "is more than max_concurrency=8"),
        ({"timeout": 5}, "no option 'timeout'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises((InvalidError, TypeError), match=why):
        _declare(**options)


def test_classes_that_are_no_servers_are_refused() -> None:
    app = freehold.App()

    class Silent: ...

    class Callable_:  # noqa: N801 (a name of its own)
        @freehold.enter()
        def start(self) -> None: ...

        @freehold.method()
        def call(self) -> None: ...

    class Chosen:
        model: str = freehold.parameter()

        @freehold.enter()
        def start(self) -> None: ...

    for raw, why in ((Silent, "lacks a method under @enter"), (Callable_, "has no @method"), (Chosen, "no parameters")):
        with pytest.raises(InvalidError, match=why):
            app.server(serialized=True)(raw)
    with pytest.raises(InvalidError, match="stands on a class"):
        app.server()(lambda: None)  # type: ignore[arg-type]


def test_a_server_cannot_be_called() -> None:
    app = freehold.App()
    made = app.server(serialized=True)(type("Made", (), {"start": Plain.start, "__module__": __name__}))
    with pytest.raises(InvalidError, match="send it HTTP requests"):
        made()


def test_the_older_form_is_open_and_keeps_the_classes_concurrency() -> None:
    @http_server(8000, proxy_regions=["us-east"], exit_grace_period=25)
    @freehold.concurrent(target_inputs=20)
    class Old:
        @freehold.enter()
        def start(self) -> None: ...

    said = marks(Old)
    assert said.web is not None
    assert (said.web.kind, said.web.port, said.web.requires_proxy_auth, said.web.exit_grace_s) == (
        "server",
        8000,
        False,
        25,
    )
    assert said.concurrency == Concurrency(max_inputs=1000, target_inputs=20)
    with pytest.raises(InvalidError, match="proxy_regions"):
        http_server(8000)
    with pytest.raises(InvalidError, match="wants its port"):
        http_server()
    with pytest.raises(InvalidError, match="between 0 and 25"):
        http_server(8000, proxy_regions=["us-east"], exit_grace_period=26)
