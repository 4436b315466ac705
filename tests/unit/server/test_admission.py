"""What is refused before anything of an app is made, and what is only warned of."""

from pathlib import Path
from typing import Any

import pytest

from freehold.core.clock import SystemClock
from freehold.core.errors import InvalidError, NotFoundError, ResourceExhaustedError
from freehold.core.placement import Machine
from freehold.core.specs import AppSpec, BucketMount, FunctionSpec, ImageSpec, Resources, SecretRef, VolumeMount
from freehold.server.services.admission import Admission

SEALED = SecretRef(sealed="st-1")


class _Here:
    """Everything that admission asks, and what it made."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def admit(self, workspace: str, given: Any, where: str = "") -> Any:
        self.made.append(type(given).__name__)
        return SEALED if isinstance(given, SecretRef) else given

    async def check(self, workspace: str, ref: SecretRef, where: str) -> None:
        if ref.name == "nowhere":
            raise NotFoundError(f"{where}: there is no secret {ref.name!r}")

    async def host_path(self, workspace: str, name: str, *, create: bool = False, sub_path: str | None = None) -> Path:
        if create:
            self.made.append(name)
        elif name == "nowhere":
            raise NotFoundError(f"there is no volume {name!r}")
        return Path("/nowhere")

    async def path(self, image: ImageSpec) -> Path:
        return Path("/nowhere")

    def missing(self, digests: list[str]) -> list[str]:
        return digests


def _admission(here: _Here) -> Admission:
    parts: Any = here
    machine = Machine(cpu=2, memory_mib=1024)
    return Admission(machine=machine, images=parts, secrets=parts, volumes=parts, buckets=parts, blobs=parts, clock=SystemClock())  # fmt: skip


def _function(name: str = "f", **spec: Any) -> FunctionSpec:
    return FunctionSpec(name=name, module="m", qualname=name, **spec)


GPU, WORDS = Resources(gpu=("h100",)), "function 'large': gpu='h100': this machine has no GPU"


async def test_a_function_that_can_never_run_is_a_warning_beside_one_that_can() -> None:
    spec = AppSpec(name="a", functions=(_function("small"), _function("large", resources=GPU)))
    admission = _admission(_Here())
    await admission.check("main", spec)
    admitted = await admission.admit("main", spec)
    [warning] = admitted.warnings
    assert warning.startswith(WORDS)
    assert [f.name for f in admitted.spec.functions] == ["small", "large"]


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(cpu=3), "cpu=3 is more than this machine's 2 cores"),
        (Resources(memory_mib=2048), "memory=2048 MiB is more than this machine's 1024 MiB"),
    ],
)
async def test_what_is_asked_for_beyond_the_machine_is_a_warning(resources: Resources, words: str) -> None:
    spec = AppSpec(name="a", functions=(_function("large", resources=resources),))
    admission = _admission(_Here())
    await admission.check("main", spec)
    admitted = await admission.admit("main", spec)
    assert admitted.warnings == (f"function 'large': {words}: it runs with what there is",)
    assert admitted.spec.functions[0].resources == resources


async def test_an_app_of_which_nothing_can_run_is_refused() -> None:
    here = _Here()
    spec = AppSpec(name="a", functions=(_function("large", resources=GPU, secrets=(SecretRef(values={}),)),))
    for ask in (_admission(here).check, _admission(here).admit):
        with pytest.raises(ResourceExhaustedError, match=f"^{WORDS}"):
            await ask("main", spec)
    assert not here.made


async def test_an_app_without_functions_is_admitted() -> None:
    assert not (await _admission(_Here()).admit("main", AppSpec(name="a"))).warnings


@pytest.mark.parametrize(
    ("lacks", "error", "words"),
    [
        ({"secrets": (SecretRef(name="nowhere"),)}, NotFoundError, "no secret 'nowhere'"),
        ({"buckets": (BucketMount(path="/b", bucket="b", secret=SecretRef(name="nowhere")),)}, NotFoundError, "no secret"),
        ({"volumes": (VolumeMount(path="/v", name="nowhere"),)}, NotFoundError, "no volume 'nowhere'"),
    ],
)  # fmt: skip
async def test_a_check_tells_what_the_workspace_lacks(
    lacks: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await _admission(_Here()).check("main", AppSpec(name="a", functions=(_function(**lacks),)))


async def test_a_check_refuses_two_of_one_name() -> None:
    with pytest.raises(InvalidError, match="two functions of the app are named 'f'"):
        await _admission(_Here()).check("main", AppSpec(name="a", functions=(_function(), _function())))


async def test_a_check_makes_nothing() -> None:
    here = _Here()
    function = _function(
        secrets=(SecretRef(values={"A": "1"}),),
        volumes=(VolumeMount(path="/v", name="new", create_if_missing=True),),
        buckets=(BucketMount(path="/b", bucket="b", secret=SecretRef(values={})),),
    )
    await _admission(here).check("main", AppSpec(name="a", functions=(function,)))
    assert not here.made
    await _admission(here).admit("main", AppSpec(name="a", functions=(function,)))
    assert here.made == ["new", "SecretRef", "BucketMount", "ImageSpec"]
