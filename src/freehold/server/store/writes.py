"""Typed makers of `Write`s, one a statement. `put_…` inserts a row or brings the stored one up to date."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from freehold.core.states import AppState, InstanceState, SandboxState
from freehold.server.store import rows as r
from freehold.server.store.contract import Write


def _json(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(json.dumps(v) if isinstance(v, dict | tuple | list) else v for v in row) for row in rows]


# ---- calls


def put_calls(rows: Sequence[r.CallRow]) -> Write:
    """Insert, or move on a call that has no final state yet; a final one stays as it is."""
    return Write("put_calls", rows)


def put_inputs(rows: Sequence[r.InputRow]) -> Write:
    """Insert, or move on an input. A final one, or one of a later attempt, stays: a result is recorded once."""
    return Write("put_inputs", rows)


def insert_inputs(rows: Sequence[r.InputRow]) -> Write:
    """Insert the inputs that are not there; a client may send them again."""
    return Write("insert_inputs", rows)


def insert_attempts(rows: Sequence[r.AttemptRow]) -> Write:
    return Write("insert_attempts", rows)


def prune_calls(before: str) -> tuple[Write, Write, Write]:
    """Forget final calls with ids below `before`, their inputs and attempts."""
    return Write("prune_attempts", [(before,)]), Write("prune_inputs", [(before,)]), Write("prune_calls", [(before,)])


# ---- instances


def put_instances(rows: Sequence[r.InstanceRow]) -> Write:
    """Insert, or move on an instance that is not OFFLINE."""
    return Write("put_instances", _json(rows))


def end_instances(ended: float, reason: str) -> Write:
    """Mark every instance that is not OFFLINE as such: the server that ran them is gone."""
    return Write("end_instances", [(InstanceState.OFFLINE, ended, reason)])


def prune_instances(before: str) -> Write:
    return Write("prune_instances", [(before,)])


# ---- sandboxes


def put_sandboxes(rows: Sequence[r.SandboxRow]) -> Write:
    """Insert, or move on a sandbox that has not ended."""
    return Write("put_sandboxes", _json(rows))


def end_sandboxes(ended: float, returncode: int, reason: str) -> Write:
    """Mark every sandbox that has not ended as terminated: the server that held them is gone."""
    return Write("end_sandboxes", [(SandboxState.TERMINATED, ended, returncode, reason)])


def prune_sandboxes(before: str) -> Write:
    return Write("prune_sandboxes", [(before,)])


# ---- apps


def put_apps(rows: Sequence[r.AppRow]) -> Write:
    return Write("put_apps", _json(rows))


def set_app_state(app_id: str, state: AppState, stopped: float | None) -> Write:
    return Write("set_app_state", [(app_id, state, stopped)])


def set_app_version(app_id: str, version: int) -> Write:
    return Write("set_app_version", [(app_id, version)])


def put_app_versions(rows: Sequence[r.AppVersionRow]) -> Write:
    return Write("put_app_versions", _json(rows))


def put_functions(rows: Sequence[r.FunctionRow]) -> Write:
    return Write("put_functions", rows)


def put_variants(rows: Sequence[r.VariantRow]) -> Write:
    """Insert those that are not there; equal overrides have one id."""
    return Write("put_variants", rows)


def put_scalings(rows: Sequence[r.ScalingRow]) -> Write:
    return Write("put_scalings", rows)


def delete_scalings(function_ids: Iterable[str]) -> Write:
    """Forget what was changed of these functions' autoscalers."""
    return Write("delete_scalings", [(f,) for f in function_ids])


def put_schedules(rows: Sequence[r.ScheduleRow]) -> Write:
    return Write("put_schedules", rows)


def set_schedule_due(function_id: str, base: float, due: float) -> Write:
    """Move a schedule on, unless a newer version has begun it anew."""
    return Write("set_schedule_due", [(function_id, base, due)])


def delete_schedules(app_id: str) -> Write:
    return Write("delete_schedules", [(app_id,)])


def put_endpoints(rows: Sequence[r.EndpointRow]) -> Write:
    return Write("put_endpoints", rows)


def delete_endpoint(workspace: str, label: str) -> Write:
    return Write("delete_endpoints", [(workspace, label)])


# ---- the rest


def insert_events(rows: Sequence[r.EventRow]) -> Write:
    return Write("insert_events", _json(rows))


def prune_events(before: str) -> Write:
    return Write("prune_events", [(before,)])


def put_secrets(rows: Sequence[r.SecretRow]) -> Write:
    return Write("put_secrets", _json(rows))


def delete_secret(workspace: str, name: str) -> Write:
    return Write("delete_secrets", [(workspace, name)])


def put_volumes(rows: Sequence[r.VolumeRow]) -> Write:
    return Write("put_volumes", rows)


def delete_volume(workspace: str, name: str) -> Write:
    return Write("delete_volumes", [(workspace, name)])


def put_images(rows: Sequence[r.ImageRow]) -> Write:
    return Write("put_images", rows)


def delete_images(digests: Sequence[str]) -> Write:
    return Write("delete_images", [(d,) for d in digests])


def put_image_names(rows: Sequence[r.ImageNameRow]) -> Write:
    return Write("put_image_names", rows)


def delete_image_names(digests: Sequence[str]) -> Write:
    """Forget the names of images that are deleted."""
    return Write("delete_image_names", [(d,) for d in digests])


def delete_image_names_of(workspace: str) -> Write:
    return Write("delete_image_names_of", [(workspace,)])


def fail_unfinished_images(error: str) -> Write:
    """Mark images that were building when the server died as failed."""
    return Write("fail_images", [(error,)])


def put_workspaces(rows: Sequence[r.WorkspaceRow]) -> Write:
    return Write("put_workspaces", rows)


def delete_workspace(name: str) -> Write:
    return Write("delete_workspaces", [(name,)])


# ---- dicts and queues: in transactions only, which read before they write

Kind = Literal["dicts", "queues"]


def insert_named(kind: Kind, row: r.DictRow | r.QueueRow) -> Write:
    return Write(f"insert_{kind}", [row])


def beat_named(kind: Kind, ref: str, until: float) -> Write:
    """An ephemeral one lives until then, if it lives still."""
    return Write(f"beat_{kind}", [(ref, until)])


def spare_named(kind: Kind, until: float) -> Write:
    """Every ephemeral one lives until then: their clients could not tell while the server was gone."""
    return Write(f"spare_{kind}", [(until,)])


def end_named(kind: Kind, ref: str) -> Write:
    """Nobody finds it any more; what it holds goes in steps, then `delete_named`."""
    return Write(f"end_{kind}", [(ref,)])


def delete_named(kind: Kind, ref: str) -> Write:
    return Write(f"delete_{kind}", [(ref,)])


def put_dict_entries(rows: Sequence[r.DictEntryRow], *, replace: bool) -> Write:
    """Insert, or replace what is stored; with replace=False a stored one stays."""
    return Write("put_dict_entries" if replace else "insert_dict_entries", rows)


def delete_dict_entry(dict_id: str, key: bytes) -> Write:
    return Write("delete_dict_entry", [(dict_id, key)])


def delete_first_dict_entries(dict_id: str, last: bytes) -> Write:
    """Up to the key `last`, in the order of `Reads.dict_keys`."""
    return Write("delete_first_dict_entries", [(dict_id, last)])


def count_queue(queue_id: str, sequence: int, partitions: int) -> Write:
    return Write("count_queues", [(queue_id, sequence, partitions)])


def put_queue_partition(row: r.QueuePartitionRow) -> Write:
    return Write("put_queue_partitions", [row])


def delete_queue_partition(queue_id: str, partition: bytes) -> Write:
    return Write("delete_queue_partition", [(queue_id, partition)])


def insert_queue_items(rows: Sequence[r.QueueItemRow]) -> Write:
    return Write("insert_queue_items", rows)


def take_queue_items(queue_id: str, partition: bytes, last: int) -> Write:
    """Delete the items up to that number."""
    return Write("take_queue_items", [(queue_id, partition, last)])


def delete_queue_items(queue_id: str, partition: bytes) -> Write:
    return Write("delete_queue_items", [(queue_id, partition)])
