"""Clustered functions as they are declared."""

import pytest

import freehold
from freehold.core.errors import InvalidError
from freehold.core.overrides import Overrides
from freehold.core.specs import FunctionSpec, Resources, Scaling
from freehold.sdk import experimental
from freehold.sdk.cluster import Cluster, ClusterInfo, clustered, get_cluster_info
from freehold.sdk.options import resources, scaling


def test_what_is_asked_for_is_each_ranks() -> None:
    asked = resources({"cpu": (1, 2), "memory": 100, "gpu": "H100:2"}, "f", ranks=3)
    assert asked == Resources(cpu=3, cpu_limit=6, memory_mib=300, gpu=("H100:6",))
    assert resources({}, "f", ranks=2) == Resources(cpu=0.25, memory_mib=256)
    with pytest.raises(InvalidError, match="asks for 32 on one machine, and 16 is the most"):
        resources({"gpu": "H100:8"}, "f", ranks=4)


def test_containers_come_a_cluster_at_a_time() -> None:
    counts = {"min_containers": 4, "max_containers": 8, "buffer_containers": 4}
    assert scaling({**counts}, "f", ranks=4) == Scaling(min_instances=1, max_instances=2, buffer_instances=1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidError, match=r"max_containers=6 is no multiple of clustered\(size=4\)"):
        scaling({"max_containers": 6}, "f", ranks=4)


@pytest.mark.parametrize("size", [0, -1, 201, True, 2.0])
def test_a_size_is_a_whole_number(size: int) -> None:
    with pytest.raises(InvalidError, match="not a whole number between 1 and 200"):
        clustered(size=size)


def test_what_gives_no_single_result_is_refused() -> None:
    app = freehold.App()
    with pytest.raises(InvalidError, match="@clustered does not go with a generator"):

        @app.function(serialized=True)
        @clustered(size=2)
        def many():  # pyright: ignore[reportUnusedFunction]
            yield 1

    with pytest.raises(InvalidError, match="@clustered does not go with a web endpoint"):

        @app.function(serialized=True)
        @clustered(size=2)
        @freehold.fastapi_endpoint()
        def page():  # pyright: ignore[reportUnusedFunction]
            return 1


def test_what_all_ranks_share_is_not_overridden() -> None:
    spec = FunctionSpec(name="f", module="m", qualname="f", cluster_size=2)
    assert Overrides(timeout_s=5).applied(spec).timeout_s == 5
    for more in (Overrides(cpu=(1, None)), Overrides(gpu=("T4",)), Overrides(max_instances=2)):
        with pytest.raises(InvalidError, match="is clustered"):
            more.applied(spec)


def test_the_older_spelling() -> None:
    assert experimental.clustered(2, broadcast=True, fabric_size=1)
    with pytest.raises(InvalidError, match="broadcast=False"):
        experimental.clustered(2, broadcast=False)
    with pytest.raises(InvalidError, match="does not divide"):
        experimental.clustered(4, fabric_size=3)


def test_a_cluster_knows_its_containers() -> None:
    with pytest.raises(InvalidError, match="runs in no cluster"):
        get_cluster_info()
    cluster = Cluster(ClusterInfo(1, "cu-7", ["127.1.1.1", "127.1.1.2"], ["127.1.1.1", "127.1.1.2"], []))
    assert cluster.container_ids() == ["in-7", "in-7.1"]
    assert [cluster.container_rank(), cluster.container_rank("in-7")] == [1, 0]
    with pytest.raises(InvalidError, match="is none of cluster 'cu-7'"):
        cluster.container_rank("in-8")
