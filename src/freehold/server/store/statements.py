"""Every statement the server runs, by name. `python -m freehold.server.store.compile` writes their SQL text down.

Only that and the migrations import SQLAlchemy: it would cost the server half a second of its start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert, insert

from freehold.server.store import rows
from freehold.server.store import schema as s

Clause = sa.ColumnElement[bool]


@dataclass(frozen=True, kw_only=True)
class WriteStatement:
    """A write; `fields` is the order of its rows' values. `checked` fields are written with a checksum each, at the row's end."""

    clause: sa.UpdateBase
    table: str
    fields: tuple[str, ...]
    checked: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Query:
    """A read: what always holds, the conditions a caller may add, and what follows them."""

    clause: "sa.Select[Any]"
    conditions: dict[str, Clause] = field(default_factory=dict[str, Clause])
    tail: str = ""


def _in(column: "sa.Column[Any]", values: Sequence[str]) -> Clause:
    # literals, not parameters: only so does a partial index serve
    return column.in_([sa.literal_column(f"'{v}'") for v in values])


def _p(name: str) -> "sa.BindParameter[Any]":
    return sa.bindparam(name)


def _insert(table: sa.Table) -> Insert:
    return insert(table).values({c.name: sa.bindparam(c.name) for c in table.c})


def _put(table: sa.Table, *changing: str, only_if: Clause | None = None) -> Insert:
    """Insert, or set these columns where `only_if` holds of the stored row."""
    new = _insert(table)
    return new.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={c: new.excluded[c] for c in changing}, where=only_if
    )


def _full(clause: sa.UpdateBase, table: sa.Table, row: Any) -> WriteStatement:
    return WriteStatement(clause=clause, table=table.name, fields=row._fields)


def _put_inputs() -> Insert:
    new = _insert(s.inputs)
    kept = {c: sa.func.coalesce(new.excluded[c], s.inputs.c[c]) for c in ("args", "result", "args_crc", "result_crc")}
    moved = ("state", "attempt", "started", "ended", "instance", "result_bytes", "error", "traceback")
    return new.on_conflict_do_update(
        index_elements=list(s.inputs.primary_key.columns),
        set_={c: new.excluded[c] for c in moved} | kept,
        where=sa.and_(_in(s.inputs.c.state, s.UNFINISHED), s.inputs.c.attempt <= new.excluded.attempt),
    )


def _inputs(clause: sa.UpdateBase) -> WriteStatement:
    return WriteStatement(clause=clause, table="inputs", fields=rows.InputRow._fields, checked=("args", "result"))


def _prune(table: sa.Table) -> WriteStatement:
    column = table.c.get("call_id", table.c.get("id"))
    assert column is not None
    final = sa.select(s.calls.c.id).where(s.calls.c.id < _p("before"), s.calls.c.state.not_in(_literals(s.UNFINISHED)))
    return WriteStatement(clause=sa.delete(table).where(column.in_(final)), table=table.name, fields=("before",))


def _literals(values: Sequence[str]) -> list["sa.ColumnClause[Any]"]:
    return [sa.literal_column(f"'{v}'") for v in values]


def _call_writes() -> dict[str, WriteStatement]:
    progress = ("state", "started", "ended", "inputs", "succeeded", "failed", "error", "more")
    return {
        "put_calls": _full(_put(s.calls, *progress, only_if=_in(s.calls.c.state, s.UNFINISHED)), s.calls, rows.CallRow),
        "put_inputs": _inputs(_put_inputs()),
        "insert_inputs": _inputs(_insert(s.inputs).on_conflict_do_nothing()),
        "insert_attempts": _full(_insert(s.attempts).on_conflict_do_nothing(), s.attempts, rows.AttemptRow),
        "prune_attempts": _prune(s.attempts),
        "prune_inputs": _prune(s.inputs),
        "prune_calls": _prune(s.calls),
    }


def _instance_writes() -> dict[str, WriteStatement]:
    i = s.instances
    progress = ("version", "state", "ready", "ended", "reason", "pid", "slots", "devices", "phases", "simulated")
    end = sa.update(i).where(i.c.ended.is_(None)).values(state=_p("state"), ended=_p("ended"), reason=_p("reason"))
    old = sa.delete(i).where(i.c.id < _p("before"), i.c.ended.is_not(None))
    return {
        "put_instances": _full(
            _put(i, *progress, only_if=i.c.state != sa.literal_column("'offline'")), i, rows.InstanceRow
        ),
        "end_instances": WriteStatement(clause=end, table="instances", fields=("state", "ended", "reason")),
        "prune_instances": WriteStatement(clause=old, table="instances", fields=("before",)),
    }


def _sandbox_writes() -> dict[str, WriteStatement]:
    b = s.sandboxes
    live = b.c.ended.is_(None)
    end = (
        sa.update(b)
        .where(live)
        .values({"state": _p("state"), "ended": _p("ended"), "returncode": _p("returncode"), "reason": _p("reason")})
    )
    old = sa.delete(b).where(b.c.id < _p("before"), b.c.ended.is_not(None))
    return {
        "put_sandboxes": _full(
            _put(b, "state", "ended", "returncode", "reason", "image", "tags", only_if=live), b, rows.SandboxRow
        ),
        "end_sandboxes": WriteStatement(
            clause=end, table="sandboxes", fields=("state", "ended", "returncode", "reason")
        ),
        "prune_sandboxes": WriteStatement(clause=old, table="sandboxes", fields=("before",)),
    }


def _app_writes() -> dict[str, WriteStatement]:
    a, e = s.apps, s.endpoints
    state = sa.update(a).where(a.c.id == _p("app_id")).values(state=_p("new_state"), stopped=_p("stopped"))
    version = sa.update(a).where(a.c.id == _p("app_id")).values(version=_p("version"))
    t = s.schedules
    due = sa.update(t).where(t.c.function_id == _p("id"), t.c.base == _p("since")).values(due=_p("next"))
    over = sa.delete(t).where(t.c.app_id == _p("of_app"))
    gone = sa.delete(e).where(e.c.workspace == _p("workspace"), e.c.label == _p("label"))
    app = ("state", "version", "stopped", "description", "client", "tags")
    return {
        "put_apps": _full(_put(a, *app), a, rows.AppRow),
        "set_app_state": WriteStatement(clause=state, table="apps", fields=("app_id", "new_state", "stopped")),
        "set_app_version": WriteStatement(clause=version, table="apps", fields=("app_id", "version")),
        "put_app_versions": _full(
            _put(s.app_versions, "tag", "client", "functions", "spec"), s.app_versions, rows.AppVersionRow
        ),
        "put_functions": _full(_put(s.functions, "version", "image", "ended", "spec"), s.functions, rows.FunctionRow),
        "put_variants": _full(_insert(s.variants).on_conflict_do_nothing(), s.variants, rows.VariantRow),
        "put_scalings": _full(_put(s.scalings, "created", "spec"), s.scalings, rows.ScalingRow),
        "delete_scalings": WriteStatement(
            clause=sa.delete(s.scalings).where(s.scalings.c.function_id == _p("function_id")),
            table="scalings",
            fields=("function_id",),
        ),
        "put_schedules": _full(_put(t, "app_id", "base", "due"), t, rows.ScheduleRow),
        "set_schedule_due": WriteStatement(clause=due, table="schedules", fields=("id", "since", "next")),
        "delete_schedules": WriteStatement(clause=over, table="schedules", fields=("of_app",)),
        "put_endpoints": _full(_put(e, "app_id", "app", "function", "method", "port"), e, rows.EndpointRow),
        "delete_endpoints": WriteStatement(clause=gone, table="endpoints", fields=("workspace", "label")),
    }


def _other_writes() -> dict[str, WriteStatement]:
    def deleted(t: sa.Table) -> WriteStatement:
        clause = sa.delete(t).where(t.c.workspace == _p("workspace"), t.c.name == _p("name"))
        return WriteStatement(clause=clause, table=t.name, fields=("workspace", "name"))

    building = s.images.c.state == sa.literal_column("'building'")
    failed = sa.update(s.images).where(building).values(state=sa.literal_column("'failed'"), error=_p("error"))
    old = sa.delete(s.events).where(s.events.c.id < _p("before"))
    return {
        "insert_events": _full(_insert(s.events), s.events, rows.EventRow),
        "prune_events": WriteStatement(clause=old, table="events", fields=("before",)),
        "put_secrets": _full(_put(s.secrets, "digest", "keys", "updated", "sealed"), s.secrets, rows.SecretRow),
        "delete_secrets": deleted(s.secrets),
        "put_volumes": _full(_put(s.volumes, "ephemeral"), s.volumes, rows.VolumeRow),
        "delete_volumes": deleted(s.volumes),
        "put_images": _full(_put(s.images, "state", "created", "build_s", "error", "spec"), s.images, rows.ImageRow),
        "delete_images": WriteStatement(
            clause=sa.delete(s.images).where(s.images.c.digest == _p("digest")), table="images", fields=("digest",)
        ),
        "put_image_names": _full(_put(s.image_names, "digest", "created"), s.image_names, rows.ImageNameRow),
        "delete_image_names": WriteStatement(
            clause=sa.delete(s.image_names).where(s.image_names.c.digest == _p("digest")),
            table="image_names",
            fields=("digest",),
        ),
        "delete_image_names_of": WriteStatement(
            clause=sa.delete(s.image_names).where(s.image_names.c.workspace == _p("workspace")),
            table="image_names",
            fields=("workspace",),
        ),
        "fail_images": WriteStatement(clause=failed, table="images", fields=("error",)),
        "put_workspaces": _full(_insert(s.workspaces).on_conflict_do_nothing(), s.workspaces, rows.WorkspaceRow),
        "delete_workspaces": WriteStatement(
            clause=sa.delete(s.workspaces).where(s.workspaces.c.name == _p("name")),
            table="workspaces",
            fields=("name",),
        ),
    }


def _named_writes(table: sa.Table, row: Any) -> dict[str, WriteStatement]:
    """Writes of dicts or queues themselves; what they hold has its own."""
    t, name = table.c, table.name
    beat = sa.update(table).where(t.id == _p("ref"), t.expires > sa.literal_column("0")).values(expires=_p("until"))
    spare = sa.update(table).where(t.expires > sa.literal_column("0")).values(expires=_p("until"))
    end = sa.update(table).where(t.id == _p("ref")).values(name=sa.null(), expires=sa.literal_column("0"))
    gone = sa.delete(table).where(t.id == _p("ref"))
    return {
        f"insert_{name}": _full(_insert(table), table, row),
        f"beat_{name}": WriteStatement(clause=beat, table=name, fields=("ref", "until")),
        f"spare_{name}": WriteStatement(clause=spare, table=name, fields=("until",)),
        f"end_{name}": WriteStatement(clause=end, table=name, fields=("ref",)),
        f"delete_{name}": WriteStatement(clause=gone, table=name, fields=("ref",)),
    }


def _dict_writes() -> dict[str, WriteStatement]:
    e = s.dict_entries
    one = sa.delete(e).where(e.c.dict_id == _p("dict_id"), e.c.key == _p("key"))
    first = sa.delete(e).where(e.c.dict_id == _p("dict_id"), e.c.key <= _p("last"))
    return _named_writes(s.dicts, rows.DictRow) | {
        "put_dict_entries": _full(_put(e, "size", "file", "value"), e, rows.DictEntryRow),
        "insert_dict_entries": _full(_insert(e).on_conflict_do_nothing(), e, rows.DictEntryRow),
        "delete_dict_entry": WriteStatement(clause=one, table=e.name, fields=("dict_id", "key")),
        "delete_first_dict_entries": WriteStatement(clause=first, table=e.name, fields=("dict_id", "last")),
    }


def _queue_writes() -> dict[str, WriteStatement]:
    q, p, i = s.queues, s.queue_partitions, s.queue_items
    count = sa.update(q).where(q.c.id == _p("ref")).values(sequence=_p("last"), partitions=_p("count"))
    gone = sa.delete(p).where(p.c.queue_id == _p("queue_id"), p.c.partition == _p("part"))
    taken = sa.delete(i).where(i.c.queue_id == _p("queue_id"), i.c.partition == _p("part"), i.c.sequence <= _p("last"))
    all_items = sa.delete(i).where(i.c.queue_id == _p("queue_id"), i.c.partition == _p("part"))
    of = ("queue_id", "part")
    return _named_writes(q, rows.QueueRow) | {
        "count_queues": WriteStatement(clause=count, table=q.name, fields=("ref", "last", "count")),
        "put_queue_partitions": _full(_put(p, "items", "bytes", "expires"), p, rows.QueuePartitionRow),
        "delete_queue_partition": WriteStatement(clause=gone, table=p.name, fields=of),
        "insert_queue_items": _full(_insert(i), i, rows.QueueItemRow),
        "take_queue_items": WriteStatement(clause=taken, table=i.name, fields=(*of, "last")),
        "delete_queue_items": WriteStatement(clause=all_items, table=i.name, fields=of),
    }


def writes() -> dict[str, WriteStatement]:
    return (
        _call_writes()
        | _instance_writes()
        | _sandbox_writes()
        | _app_writes()
        | _other_writes()
        | _dict_writes()
        | _queue_writes()
    )


def _of_workspace(table: sa.Table) -> "sa.Select[Any]":
    return sa.select(table).where(table.c.workspace == _p("workspace"))


def _newest_of_workspace(table: sa.Table) -> "sa.Select[Any]":
    # the plus keeps SQLite from an index by workspace, which it would then have to sort
    return sa.select(table).where(sa.literal_column(f"+{table.name}.workspace") == _p("workspace"))


def _columns(table: sa.Table, *without: str) -> "sa.Select[Any]":
    return sa.select(*[c for c in table.c if c.name not in without])


def _chosen(*columns: "sa.ColumnElement[Any]") -> "sa.Select[Any]":
    return sa.select(*columns)


def _count(condition: Clause) -> "sa.ColumnElement[Any]":
    return sa.func.sum(
        sa.case((condition, sa.literal_column("1", sa.Integer())), else_=sa.literal_column("0", sa.Integer()))
    )


def _outcome_counts() -> "sa.Select[Any]":
    state = s.inputs.c.state
    columns: list[sa.ColumnElement[Any]] = [
        s.inputs.c.call_id,
        sa.func.count(),
        _count(_in(state, ["succeeded"])),
        _count(_in(state, s.UNSUCCESSFUL)),
    ]
    return sa.select(*columns)


def _call_queries() -> dict[str, Query]:
    c, i = s.calls.c, s.inputs.c
    exact = sa.and_(c.function > _p("function_from"), c.function < _p("function_to"))
    unfinished = _in(c.state, s.UNFINISHED)
    open_calls = sa.select(c.id).where(unfinished)
    page = "ORDER BY inputs.idx LIMIT :limit"
    of_call = (i.call_id == _p("call_id"), i.idx > _p("after"))
    return {
        "calls": Query(
            clause=_newest_of_workspace(s.calls),
            conditions={
                "id": c.id == _p("id"),
                "key": sa.and_(c.workspace == _p("workspace"), c.function_id == _p("function_id"), c.key == _p("key")),
                "app": sa.and_(c.workspace == _p("workspace"), c.app == _p("app")),
                "app_id": c.app_id == _p("app_id"),
                "function_like": sa.or_(c.function == _p("function"), exact),
                "state": c.state == _p("state"),
                "unfinished": unfinished,
                "unsuccessful": _in(c.state, s.UNSUCCESSFUL),
                "kind": c.kind == _p("kind"),
                "parent": c.parent == _p("parent"),
                "since": c.created >= _p("since"),
                "before": c.id < _p("before"),
            },
            tail="ORDER BY calls.id DESC LIMIT :limit",
        ),
        "inputs": Query(
            clause=_columns(s.inputs, "args", "result", "args_crc", "result_crc").where(*of_call), tail=page
        ),
        "outcomes": Query(
            clause=_columns(s.inputs, "args", "args_crc").where(*of_call, i.state.not_in(_literals(s.UNFINISHED))),
            tail=page,
        ),
        "input": Query(clause=sa.select(s.inputs).where(i.call_id == _p("call_id"), i.idx == _p("idx"))),
        "attempts": Query(
            clause=sa.select(s.attempts).where(s.attempts.c.call_id == _p("call_id")),
            tail="ORDER BY attempts.idx, attempts.attempt LIMIT :limit",
        ),
        "unfinished_calls": Query(clause=sa.select(s.calls).where(unfinished), tail="ORDER BY calls.id"),
        "nth_call": Query(
            clause=sa.select(c.id).where(c.id >= _p("begin"), c.id < _p("before")),
            tail="ORDER BY calls.id LIMIT 1 OFFSET :skip",
        ),
        "unfinished_counts": Query(
            clause=_outcome_counts().where(i.call_id.in_(open_calls)), tail="GROUP BY inputs.call_id"
        ),
        "unfinished_inputs": Query(
            clause=sa.select(s.inputs).where(i.call_id.in_(open_calls), _in(i.state, s.UNFINISHED)),
            tail="ORDER BY inputs.call_id, inputs.idx",
        ),
        "unfinished_attempts": Query(
            clause=sa.select(s.attempts).where(s.attempts.c.call_id.in_(open_calls)),
            tail="ORDER BY attempts.call_id, attempts.idx, attempts.attempt",
        ),
    }


def _instance_queries() -> dict[str, Query]:
    i, e = s.instances.c, s.events.c
    return {
        "instances": Query(
            clause=_newest_of_workspace(s.instances),
            conditions={
                "id": i.id == _p("id"),
                "app": sa.and_(i.workspace == _p("workspace"), i.app == _p("app")),
                "app_id": i.app_id == _p("app_id"),
                "function": i.function == _p("function"),
                "live": i.ended.is_(None),
                "before": i.id < _p("before"),
            },
            tail="ORDER BY instances.id DESC LIMIT :limit",
        ),
        "events": Query(
            clause=_of_workspace(s.events),
            conditions={
                "kind": e.kind == _p("kind"),
                "subject": e.subject == _p("subject"),
                "since": e.at >= _p("since"),
                "before": e.id < _p("before"),
            },
            tail="ORDER BY events.id DESC LIMIT :limit",
        ),
    }


def _sandbox_queries() -> dict[str, Query]:
    b = s.sandboxes.c
    return {
        "sandboxes": Query(
            clause=_newest_of_workspace(s.sandboxes),
            conditions={
                "id": b.id == _p("id"),
                "app": sa.and_(b.workspace == _p("workspace"), b.app == _p("app")),
                "app_id": b.app_id == _p("app_id"),
                "name": b.name == _p("name"),
                "live": b.ended.is_(None),
                "before": b.id < _p("before"),
            },
            tail="ORDER BY sandboxes.id DESC LIMIT :limit",
        )
    }


def _app_queries() -> dict[str, Query]:
    a, v, f = s.apps.c, s.app_versions.c, s.functions.c
    return {
        "apps": Query(
            clause=_of_workspace(s.apps),
            conditions={"ref": sa.or_(a.id == _p("ref"), a.name == _p("ref"))},
            tail="ORDER BY apps.state = 'deployed' DESC, apps.id DESC LIMIT :limit",
        ),
        "live_apps": Query(
            clause=sa.select(s.apps).where(a.state != sa.literal_column("'stopped'")), tail="ORDER BY apps.id"
        ),
        "app_versions": Query(
            clause=sa.select(s.app_versions).where(v.app_id == _p("app_id")),
            conditions={"version": v.version == _p("version")},
            tail="ORDER BY app_versions.version DESC LIMIT :limit",
        ),
        "functions": Query(
            clause=_of_workspace(s.functions),
            conditions={"id": f.id == _p("id"), "app_id": f.app_id == _p("app_id"), "live": f.ended.is_(None)},
            tail="ORDER BY functions.id",
        ),
        "variants": Query(clause=sa.select(s.variants), tail="ORDER BY variants.workspace, variants.id"),
        "scalings": Query(clause=sa.select(s.scalings), tail="ORDER BY scalings.function_id"),
        "schedules": Query(clause=sa.select(s.schedules), tail="ORDER BY schedules.function_id"),
        "endpoints": Query(clause=sa.select(s.endpoints), tail="ORDER BY endpoints.workspace, endpoints.label"),
    }


def _other_queries() -> dict[str, Query]:
    x, v, m = s.secrets.c, s.volumes.c, s.images.c
    return {
        "secrets": Query(
            clause=_of_workspace(s.secrets),
            conditions={
                "named": x.name.is_not(None),
                "ref": sa.or_(x.id == _p("ref"), x.name == _p("ref")),
                "digest": sa.and_(x.digest == _p("digest"), x.name.is_(None)),
            },
            tail="ORDER BY secrets.name",
        ),
        "volumes": Query(
            clause=_of_workspace(s.volumes), conditions={"name": v.name == _p("name")}, tail="ORDER BY volumes.name"
        ),
        "images": Query(
            clause=sa.select(s.images),
            conditions={"digest": m.digest == _p("digest")},
            tail="ORDER BY images.created DESC",
        ),
        "image_names": Query(clause=_of_workspace(s.image_names), conditions={}, tail="ORDER BY image_names.name"),
        "named_images": Query(clause=_chosen(s.image_names.c.digest)),
        "workspaces": Query(clause=sa.select(s.workspaces), tail="ORDER BY workspaces.name"),
    }


def _kept(table: sa.Table) -> Clause:
    """Not deleted."""
    return sa.or_(table.c.expires.is_(None), table.c.expires > sa.literal_column("0"))


def _named_queries(table: sa.Table) -> dict[str, Query]:
    t, name = table.c, table.name
    mine = t.workspace == _p("workspace")
    page = (mine, t.name.is_not(None), t.created < _p("before"))
    return {
        name: Query(
            clause=sa.select(table).where(*page), tail=f"ORDER BY {name}.created DESC, {name}.id DESC LIMIT :limit"
        ),
        f"{name}_by_id": Query(clause=sa.select(table).where(mine, t.id == _p("ref"), _kept(table))),
        f"{name}_by_name": Query(clause=sa.select(table).where(mine, t.name == _p("ref"))),
        f"all_{name}": Query(clause=sa.select(t.id).where(mine, _kept(table))),
        f"expired_{name}": Query(clause=sa.select(t.id).where(t.expires < _p("now"))),
    }


def _dict_queries() -> dict[str, Query]:
    d, e = s.dicts.c, s.dict_entries.c
    mine = (d.id == _p("dict_id"), d.workspace == _p("workspace"), _kept(s.dicts))
    entry = _chosen(e.size, e.file, e.value).select_from(
        s.dicts.outerjoin(s.dict_entries, sa.and_(e.dict_id == d.id, e.key == _p("key")))
    )
    of_dict = (e.dict_id == _p("dict_id"), e.key > _p("after"))
    page = 'ORDER BY dict_entries."key" LIMIT :limit'
    return _named_queries(s.dicts) | {
        "dict_entry": Query(clause=entry.where(*mine)),  # a row for each dict that is there, of NULLs without the key
        "dict_entries": Query(clause=sa.select(s.dict_entries).where(*of_dict), tail=page),
        "dict_keys": Query(clause=_columns(s.dict_entries, "value").where(*of_dict), tail=page),
        "dict_length": Query(clause=sa.select(sa.func.count()).where(e.dict_id == _p("dict_id"))),
        "dict_files": Query(clause=_chosen(e.key, e.file).where(e.dict_id == _p("dict_id"), e.file.is_not(None))),
        "files_of_dicts": Query(clause=_chosen(e.dict_id, e.file).where(e.file.is_not(None))),
    }


def _queue_queries() -> dict[str, Query]:
    p, i = s.queue_partitions.c, s.queue_items.c
    one = (p.queue_id == _p("queue_id"), p.partition == _p("part"))
    items = (i.queue_id == _p("queue_id"), i.partition == _p("part"), i.sequence > _p("after"))
    live = (p.queue_id == _p("queue_id"), p.expires > _p("now"))
    return _named_queries(s.queues) | {
        "queue_counts": Query(
            clause=_chosen(s.queues.c.sequence, s.queues.c.partitions).where(s.queues.c.id == _p("queue_id"))
        ),
        "queue_partition": Query(clause=sa.select(s.queue_partitions).where(*one)),
        "queue_items": Query(
            clause=_chosen(i.sequence, i.value).where(*items), tail="ORDER BY queue_items.sequence LIMIT :limit"
        ),
        "queue_total": Query(
            clause=_chosen(sa.func.count(), sa.func.coalesce(sa.func.sum(p["items"]), sa.literal_column("0"))).where(
                *live
            )
        ),
        "queue_partitions": Query(
            clause=sa.select(p.partition).where(p.queue_id == _p("queue_id"), p.partition >= _p("begin")),
            tail='ORDER BY queue_partitions."partition" LIMIT :limit',
        ),
        "expired_queue_partitions": Query(
            clause=_chosen(p.queue_id, p.partition).where(p.expires <= _p("now")), tail="LIMIT :limit"
        ),
    }


def queries() -> dict[str, Query]:
    return (
        _call_queries()
        | _instance_queries()
        | _sandbox_queries()
        | _app_queries()
        | _other_queries()
        | _dict_queries()
        | _queue_queries()
    )
