"""Handles with overrides: independent, merged, admitted once, and without secrets in their pickles."""

import pickle

import pytest
from tests.unit.sdk.fake_server import FakeServer

import freehold
from freehold.core.errors import DeprecationError, InvalidError
from freehold.core.overrides import Overrides
from freehold.core.specs import Batching, Concurrency, Retries, SecretRef, VolumeMount
from freehold.protocol.schemas import ScalingChange

app = freehold.App("variants")


@app.function(timeout=30)
def double(x: int) -> int:
    return 2 * x


@app.cls()
class Counter:
    start: int = freehold.parameter(default=0)

    @freehold.method()
    def add(self, x: int) -> int:
        return self.start + x


def test_overrides_are_merged_and_the_handle_itself_stays(server: FakeServer) -> None:
    other = double.with_options(cpu=2, env={"A": "1", "B": None}, retries=0).with_options(env={"C": "3"}, timeout=9)
    both = other.with_concurrency(max_inputs=4, target_inputs=2).with_batching(max_batch_size=3, wait_ms=5)
    with app.run():
        assert [double.remote(1), both.remote(2), both.remote(3)] == [2, 4, 6]
    [asked] = server.variants
    assert asked.overrides == Overrides(
        cpu=(2, None), env={"A": "1", "C": "3"}, retries=Retries(max_retries=0), timeout_s=9,
        concurrency=Concurrency(max_inputs=4, target_inputs=2), batching=Batching(max_batch_size=3, wait_ms=5),
    )  # fmt: skip
    variant = asked.overrides.digest()
    assert [s.variant for s in server.submits] == ["", variant, variant]


def test_what_is_attached_and_asked_for_is_sent(server: FakeServer) -> None:
    volume = freehold.Volume.from_name("data").read_only()
    other = double.with_options(
        memory=(128, 256), gpu="T4", max_containers=2, buffer_containers=1, scaledown_window=5,
        secrets=[freehold.Secret.from_name("key")], volumes={"/data": volume},
    )  # fmt: skip
    with app.run():
        other.spawn(1)
    assert server.variants[0].overrides == Overrides(
        memory_mib=(128, 256), gpu=("T4",), max_instances=2, buffer_instances=1, scaledown_window_s=5.0,
        secrets=(SecretRef(name="key"),), volumes=(VolumeMount(path="/data", name="data", read_only=True),), buckets=(),
    )  # fmt: skip


def test_nothing_overridden_is_the_function_itself(server: FakeServer) -> None:
    with app.run():
        double.with_options().remote(1)
    assert (server.variants, server.submits[0].variant) == ([], "")


def test_objects_of_a_varied_class_keep_their_parameters(server: FakeServer) -> None:
    other = Counter.with_options(timeout=60)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    with app.run():
        assert other(start=5).add.remote(1) == 6  # pyright: ignore[reportUnknownMemberType]
        assert other(start=5).add.local(1) == 6  # pyright: ignore[reportUnknownMemberType]
        assert Counter(start=7).add.remote(1) == 8
    assert [bool(s.variant) for s in server.submits] == [True, False]


def test_a_pickle_of_a_handle_holds_no_secret(server: FakeServer) -> None:
    other = double.with_options(secrets=[freehold.Secret.from_dict({"KEY": "very-secret"})])
    with app.run():
        data = pickle.dumps(other)
        again = pickle.loads(data)
        again.remote(1)
        again.with_options(timeout=5).remote(1)
    assert b"very-secret" not in data
    assert [v.overrides.secrets for v in server.variants] == [
        (SecretRef(values={"KEY": "very-secret"}),), (SecretRef(sealed="st-1"),),
    ]  # fmt: skip
    assert server.submits[0].variant == Overrides(secrets=(SecretRef(sealed="st-1"),)).digest()


def test_wrong_options_are_refused_where_they_are_given() -> None:
    for wrong, said in (
        ({"tiemout": 3}, "has no option 'tiemout'; did you mean 'timeout'"),
        ({"timeout": 0}, "timeout=0 is not a number of seconds"),
        ({"volumes": {"data": 1}}, "cannot be mounted at 'data'"),
        ({"secrets": ["KEY"]}, "is not a list of freehold.Secret"),
    ):
        with pytest.raises(InvalidError, match=said):
            double.with_options(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidError, match="max_batch_size=0"):
        double.with_batching(max_batch_size=0, wait_ms=1)
    with pytest.raises(InvalidError, match="has no address of its own"):
        double.with_options(timeout=5).get_web_url()


def test_old_names_warn_with_the_new_one(server: FakeServer) -> None:
    with pytest.warns(DeprecationError, match=r"with_concurrency\(max_inputs=…\)"):
        other = double.with_options(allow_concurrent_inputs=3)
    with app.run():
        with pytest.warns(DeprecationError, match=r"update_autoscaler\(min_containers=2\)"):
            double.keep_warm(2)
        other.remote(1)
    assert server.variants[0].overrides.concurrency == Concurrency(max_inputs=3)
    assert server.scalings[0].change == ScalingChange(min_instances=2)


def test_the_autoscaler_of_an_object_is_that_of_its_pool(server: FakeServer) -> None:
    made = Counter(start=5)
    with app.run():
        made.update_autoscaler(max_containers=3)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        double.autoscaler.update(max_containers=None, scaledown_window=5)
        with pytest.raises(InvalidError, match=r"write Counter\(...\)\.update_autoscaler"):
            made.add.update_autoscaler(min_containers=1)
        for wrong in (
            {"min_containers": -1},
            {"max_containers": 0},
            {"scaledown_window": 1},
            {"buffer_containers": 1.5},
        ):
            with pytest.raises(InvalidError, match=next(iter(wrong))):
                double.autoscaler.update(**wrong)  # pyright: ignore[reportArgumentType]
    assert [(bool(s.pool.parameters), s.change) for s in server.scalings] == [
        (True, ScalingChange(max_instances=3)), (False, ScalingChange(max_instances=0, scaledown_window_s=5.0)),
    ]  # fmt: skip
