"""What the server knows, as programs read it."""

from freehold.core.specs import (
    Batching,
    Concurrency,
    FunctionSpec,
    Method,
    Resources,
    Retries,
    SecretRef,
    VolumeMount,
    Web,
)
from freehold.core.states import CallState
from freehold.protocol.schemas import CallGraph, FunctionDetail, FunctionHandle, GraphInput
from freehold.sdk import facts
from freehold.sdk.types import BatchingInfo, ConcurrencyInfo, ImageInfo, InputStatus, VolumeMountInfo, WebInfo


def _input(call: str, index: int, state: CallState, parent: str | None = None, parent_index: int = 0) -> GraphInput:
    return GraphInput(
        call=call, index=index, instance="in-1" if state.final else None, state=state, function=f"f-{call}", module="m", parent=parent,
        parent_index=parent_index,
    )  # fmt: skip


def test_inputs_stand_below_the_input_whose_code_made_them() -> None:
    done, runs = CallState.SUCCEEDED, CallState.RUNNING
    tree = facts.call_tree(
        CallGraph(
            inputs=(
                _input("a", 0, done), _input("a", 1, runs), _input("b", 0, CallState.TIMED_OUT, "a", 1),
                _input("c", 0, CallState.CANCELLED, "b"), _input("d", 0, CallState.FAILED, "forgotten"),
            )
        )
    )  # fmt: skip
    assert [(n.input_id, n.status, n.task_id) for n in tree] == [
        ("a:0", InputStatus.SUCCESS, "in-1"), ("a:1", InputStatus.PENDING, ""), ("d:0", InputStatus.FAILURE, "in-1"),
    ]  # fmt: skip
    [below] = tree[1].children
    assert (below.function_call_id, below.function_name, below.module_name, below.status) == ("b", "f-b", "m", 4)
    assert [n.status for n in below.children] == [InputStatus.TERMINATED]
    assert not tree[0].children


def test_a_functions_info_says_what_it_is_run_as() -> None:
    spec = FunctionSpec(
        name="C", module="m", qualname="C", kind="cls", timeout_s=30.0, startup_timeout_s=9.0, retries=Retries(max_retries=2),
        resources=Resources(cpu=1.0, cpu_limit=2.0, memory_mib=256, gpu=("A10G", "H100:2")), concurrency=Concurrency(max_inputs=4),
        secrets=(SecretRef(name="key"), SecretRef(sealed="st-1")), volumes=(VolumeMount(path="/d", name="data", read_only=True),),
        methods=(
            Method(name="run", batching=Batching(max_batch_size=3, wait_ms=5)),
            Method(name="page", web=Web(kind="fastapi_endpoint", method="POST")),
        ),
    )  # fmt: skip
    handle = FunctionHandle(id="fu-1", name="C", endpoints={"page": "http://x"})
    info = facts.function_info(FunctionDetail(handle=handle, app_id="ap-1", app="a", version=1, image="sha", spec=spec))
    assert (info.cpu, info.memory_mib, info.gpus) == ((1.0, 2.0), 256, [("A10G", 1), ("H100", 2)])
    assert (info.timeout, info.startup_timeout, info.max_retries) == (30, 9, 2)
    assert (info.batching_info, info.concurrency_info) == (BatchingInfo(3, 5), ConcurrencyInfo(4, None))
    assert (info.secrets, info.volumes) == (["key", "(of the program)"], {"/d": VolumeMountInfo("data", "data", True)})
    assert (info.method_names, info.method_details) == (["page", "run"], {"page": WebInfo("http://x", "POST", True)})
    assert (info.image_info, info.web_info) == (ImageInfo(None, "im-sha"), None)
