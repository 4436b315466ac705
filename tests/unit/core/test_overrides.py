"""Overrides over a function, and over earlier overrides."""

import pytest

from freehold.core.errors import InvalidError
from freehold.core.overrides import Overrides
from freehold.core.specs import Batching, FunctionSpec, Method, Resources, Retries, Scaling, SecretRef

SPEC = FunctionSpec(
    name="f", module="m", qualname="f", env={"A": "1", "B": "2"}, secrets=(SecretRef(name="own"),),
    resources=Resources(cpu=1.0, cpu_limit=2.0, memory_mib=256, gpu=("T4",)), scaling=Scaling(min_instances=1, max_instances=3),
)  # fmt: skip


def test_what_is_not_said_stays() -> None:
    assert Overrides().applied(SPEC) == SPEC
    assert not Overrides()


def test_each_is_laid_over_and_secrets_replace() -> None:
    made = Overrides(
        cpu=(4.0, None), timeout_s=9.0, retries=Retries(max_retries=0), env={"B": "3"}, secrets=(SecretRef(name="other"),), max_instances=9,
    ).applied(SPEC)  # fmt: skip
    assert made.resources == Resources(cpu=4.0, cpu_limit=None, memory_mib=256, gpu=("T4",))
    assert made.scaling == Scaling(min_instances=1, max_instances=9)
    assert (made.timeout_s, made.retries, made.env) == (9.0, Retries(max_retries=0), {"A": "1", "B": "3"})
    assert made.secrets == (SecretRef(name="other"),)


def test_later_overrides_count_and_keep_the_earlier() -> None:
    both = Overrides(timeout_s=2.0, env={"B": "2"}).over(
        Overrides(timeout_s=1.0, gpu=("H100",), env={"A": "1", "B": "1"})
    )
    assert both == Overrides(timeout_s=2.0, gpu=("H100",), env={"A": "1", "B": "2"})


def test_equal_overrides_have_one_digest() -> None:
    assert Overrides(env={"A": "1", "B": "2"}).digest() == Overrides(env={"B": "2", "A": "1"}).digest()
    assert Overrides(timeout_s=1.0).digest() != Overrides(timeout_s=2.0).digest()


def test_batching_goes_to_the_only_method_of_a_class() -> None:
    batching = Batching(max_batch_size=2, wait_ms=1)
    cls = FunctionSpec(name="C", module="m", qualname="C", kind="cls", methods=(Method(name="a"),))
    assert Overrides(batching=batching).applied(cls).methods == (Method(name="a", batching=batching),)
    assert Overrides(batching=batching).applied(SPEC).batching == batching
    two = FunctionSpec(name="C", module="m", qualname="C", kind="cls", methods=(Method(name="a"), Method(name="b")))
    with pytest.raises(InvalidError, match="only one of its class, and it has a, b"):
        Overrides(batching=batching).applied(two)
