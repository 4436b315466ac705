"""What the server knows of functions, calls and apps, as the data that programs of Modal's read."""

from datetime import UTC, datetime
from typing import Any

from freehold.core.devices import parse_gpu
from freehold.core.digests import image_id
from freehold.core.specs import FunctionSpec, Web
from freehold.core.states import CallState
from freehold.protocol import schemas
from freehold.sdk import client, types
from freehold.sdk.http import segment

_STATUS = {
    CallState.SUCCEEDED: types.InputStatus.SUCCESS,
    CallState.FAILED: types.InputStatus.FAILURE,
    CallState.TIMED_OUT: types.InputStatus.TIMEOUT,
    CallState.CANCELLED: types.InputStatus.TERMINATED,
}


def page(path: str) -> str:
    """The address of one of the dashboard's pages. Blocks."""
    return client.current().api.get("/v1/status", schemas.StatusView).url + path


def function_detail(function_id: str) -> "schemas.FunctionDetail":
    """Blocks; raises NotFoundError."""
    return client.current().api.get(f"/v1/functions/{segment(function_id)}", schemas.FunctionDetail)


def current_stats(pool: "schemas.PoolRef") -> types.FunctionCurrentStats:
    """Blocks."""
    view = client.current().api.send("POST", "/v1/pools/stats", pool, schemas.PoolView)
    return types.FunctionCurrentStats(
        backlog=view.backlog,
        num_total_runners=view.instances,
        num_running_inputs=view.running,
        input_headroom=view.headroom,
    )


def function_info(detail: "schemas.FunctionDetail") -> types.FunctionInfo:
    spec, asked = detail.spec, detail.spec.resources
    own = {m.name: m.web for m in spec.methods}
    return types.FunctionInfo(
        cpu=_pair(asked.cpu, asked.cpu_limit),
        memory_mib=_pair(asked.memory_mib, asked.memory_limit_mib),
        gpus=[(gpu.type, gpu.count) for gpu in map(parse_gpu, asked.gpu)],
        ephemeral_disk_mib=asked.ephemeral_disk_mib,
        image_info=types.ImageInfo(None, image_id(detail.image)),
        startup_timeout=None if spec.startup_timeout_s is None else round(spec.startup_timeout_s),
        timeout=round(spec.timeout_s),
        max_retries=spec.retries.max_retries if spec.retries else None,
        batching_info=_batching(spec),
        concurrency_info=_concurrency(spec),
        single_use_containers=spec.single_use,
        volumes={v.path: types.VolumeMountInfo(v.name, v.name, v.read_only) for v in spec.volumes},
        secrets=[s.name or "(of the program)" for s in spec.secrets],
        web_info=_web(spec.web, detail.handle.endpoints.get("")),
        method_names=sorted(own) if spec.kind == "cls" else None,
        method_details={n: w for n, m in own.items() if (w := _web(m, detail.handle.endpoints.get(n)))} or None,
    )


def app_info(view: "schemas.AppView") -> types.AppInfo:
    lifecycle = types.AppLifecycle(
        state=types.AppState(view.state.value), version=view.version, created_at=_time(view.created), created_by="", deployed_at=None,
        deployed_by=None, stopped_at=None if view.stopped is None else _time(view.stopped), stopped_by=None,
    )  # fmt: skip
    return types.AppInfo(
        app_id=view.id, description=view.description or view.name, lifecycle=lifecycle, functions={f.name: f.id for f in view.functions}
    )  # fmt: skip


def call_tree(graph: "schemas.CallGraph") -> list[types.InputInfo]:
    """The inputs that nobody's code made, each with those that its code made below it."""
    nodes = {
        (i.call, i.index): types.InputInfo(
            input_id=f"{i.call}:{i.index}", function_call_id=i.call, task_id=i.instance or "",
            status=_STATUS.get(i.state, types.InputStatus.PENDING), function_name=i.function, module_name=i.module,
        )
        for i in graph.inputs
    }  # fmt: skip
    roots: list[types.InputInfo] = []
    for one in graph.inputs:
        above = nodes.get((one.parent or "", one.parent_index))
        (roots if above is None else above.children).append(nodes[one.call, one.index])
    return roots


def _pair(low: Any, high: Any) -> Any:
    return low if high is None else (low, high)


def _batching(spec: FunctionSpec) -> types.BatchingInfo | None:
    found = spec.batching or next((m.batching for m in spec.methods if m.batching), None)
    return None if found is None else types.BatchingInfo(found.max_batch_size, found.wait_ms)


def _concurrency(spec: FunctionSpec) -> types.ConcurrencyInfo | None:
    said = spec.concurrency
    return (
        None
        if said.max_inputs == 1
        else types.ConcurrencyInfo(said.max_inputs, None if said.target_inputs is None else round(said.target_inputs))
    )


def _web(web: Web | None, url: str | None) -> types.WebInfo | None:
    if web is None:
        return None
    method = web.method if web.kind == "fastapi_endpoint" else None
    return types.WebInfo(web_url=url or "", method=method, unauthenticated=not web.requires_proxy_auth)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
