"""Metrics as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

from freehold.telemetry.metrics import Metrics, PoolSample


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.render().decode()
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_requests_calls_and_starts_are_counted() -> None:
    metrics = Metrics(version="1.2")
    for seconds in (0.0005, 0.02, 400.0):
        metrics.request(method="GET", handler="/v1/apps", status=200, seconds=seconds)
    metrics.call(app="shop", function="price", state="succeeded", seconds=0.3)
    metrics.started({"fork": 0.007, "import": 1.5})
    found = samples(metrics)
    route = (("handler", "/v1/apps"), ("method", "GET"))
    assert found[("http_requests_total", (*route, ("status", "200")))] == 3
    assert found[("http_request_duration_seconds_count", route)] == 3
    assert found[("http_request_duration_seconds_sum", route)] == 400.0205
    bucket = {
        le: found[("http_request_duration_seconds_bucket", (route[0], ("le", le), route[1]))]
        for le in ("0.001", "0.025", "300.0", "+Inf")
    }
    assert bucket == {"0.001": 1, "0.025": 2, "300.0": 2, "+Inf": 3}
    assert found[("freehold_calls_total", (("app", "shop"), ("function", "price"), ("state", "succeeded")))] == 1
    assert found[("freehold_call_duration_seconds_sum", (("app", "shop"), ("function", "price")))] == 0.3
    assert found[("freehold_instance_start_seconds_count", (("phase", "fork"),))] == 1
    assert found[("freehold_build_info", (("version", "1.2"),))] == 1
    assert found[("process_resident_memory_bytes", ())] > 0


def test_pools_are_asked_at_each_scrape() -> None:
    pools = [PoolSample(app="shop", function="price", backlog=3, instances={"idle": 1, "busy": 2})]
    metrics = Metrics(pools=lambda: pools)
    labels = (("app", "shop"), ("function", "price"))
    assert samples(metrics)[("freehold_backlog", labels)] == 3
    assert samples(metrics)[("freehold_instances", (*labels, ("state", "busy")))] == 2
    pools.clear()
    assert not [name for name, _ in samples(metrics) if name in ("freehold_backlog", "freehold_instances")]


def test_a_bound_falls_into_its_own_bucket() -> None:
    metrics = Metrics()
    metrics.started({"fork": 0.001})
    assert samples(metrics)[("freehold_instance_start_seconds_bucket", (("le", "0.001"), ("phase", "fork")))] == 1
