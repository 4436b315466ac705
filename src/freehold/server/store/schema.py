"""The one schema, for every store. Payload columns stand last, so that a listing never reads their pages."""

from typing import cast

import sqlalchemy as sa

metadata = sa.MetaData()

Real = cast("sa.types.TypeEngine[float]", sa.Double().with_variant(sa.REAL(), "sqlite"))
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNFINISHED = ("pending", "running")
UNSUCCESSFUL = ("failed", "timed_out", "cancelled")


def _text(name: str, *, null: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=null)


def _real(name: str, *, null: bool = True) -> "sa.Column[float]":
    return sa.Column(name, Real, nullable=null)


def _number(name: str, *, null: bool = False) -> "sa.Column[int]":
    return sa.Column(name, Number, nullable=null)


def _bytes(name: str, *, null: bool = False) -> "sa.Column[bytes]":
    return sa.Column(name, sa.LargeBinary(), nullable=null)


def _table(
    name: str,
    key: tuple[str, ...],
    *columns: "sa.Column[object] | sa.Column[str] | sa.Column[float] | sa.Column[int] | sa.Column[bytes]",
) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        *columns,
        sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _index(
    name: str, *columns: "sa.Column[object]", unique: bool = False, where: "sa.ColumnElement[bool] | None" = None
) -> sa.Index:
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


workspaces = _table("workspaces", ("name",), _text("name"), _real("created", null=False))

# one row: which database this is, and how many groups were committed; the mark outside must not be ahead of it
commits = _table("commits", ("id",), _number("id"), _text("database"), _number("sequence"))

apps = _table(
    "apps", ("id",), _text("id"), _text("workspace"), _text("name"), _text("state"), _number("version"), _real("created", null=False),
    _real("stopped"), _text("description", null=True), _text("client"), _text("tags"),
)  # fmt: skip
_index("ix_apps_name", apps.c.workspace, apps.c.name)
_index(
    "ux_apps_deployed",
    apps.c.workspace,
    apps.c.name,
    unique=True,
    where=apps.c.state == sa.literal_column("'deployed'"),
)

app_versions = _table(
    "app_versions", ("app_id", "version"), _text("app_id"), _number("version"), _real("created", null=False), _text("tag", null=True),
    _text("client"), _text("functions"), _bytes("spec"),
)  # fmt: skip

functions = _table(
    "functions", ("id",), _text("id"), _text("workspace"), _text("app_id"), _text("app"), _text("name"), _text("kind"), _text("digest"),
    _text("image"), _number("version"), _real("created", null=False), _real("ended"), _bytes("spec"),
)  # fmt: skip
_index("ix_functions_app", functions.c.app_id, functions.c.name)

# what `with_options` and its like change of functions, as JSON of `Overrides` with sealed secrets
variants = _table(
    "variants", ("workspace", "id"), _text("workspace"), _text("id"), _real("created", null=False), _bytes("spec"),
)  # fmt: skip

# what `update_autoscaler` changed of one pool, until its app is deployed anew
scalings = _table(
    "scalings", ("function_id", "parameters", "variant"), _text("function_id"), _bytes("parameters"), _text("variant"),
    _real("created", null=False), _text("spec"),
)  # fmt: skip
schedules = _table(
    "schedules", ("function_id",), _text("function_id"), _text("app_id"), _real("base", null=False), _real("due", null=False)
)  # fmt: skip
_index("ix_schedules_app", schedules.c.app_id)

endpoints = _table(
    "endpoints", ("workspace", "label"), _text("workspace"), _text("label"), _text("app_id"), _text("app"), _text("function"),
    _text("method"), _number("port"), _real("created", null=False),
)  # fmt: skip
_index("ux_endpoints_port", endpoints.c.port, unique=True)

calls = _table(
    "calls", ("id",), _text("id"), _text("workspace"), _text("app_id"), _text("app"), _text("function_id"), _text("function"), _text("kind"),
    _text("state"), _real("created", null=False), _real("started"), _real("ended"), _number("inputs"), _number("succeeded"),
    _number("failed"), _text("parent", null=True), _text("error", null=True), _number("version"), _text("key", null=True),
    _bytes("parameters"), _bytes("options"), _number("more"), _text("variant", null=True), _number("parent_index", null=True),
)  # fmt: skip
_index("ix_calls_app", calls.c.workspace, calls.c.app, calls.c.id, calls.c.function)
_index("ix_calls_unfinished", calls.c.id, where=calls.c.state.in_([sa.literal_column(f"'{s}'") for s in UNFINISHED]))
_index(
    "ix_calls_unsuccessful", calls.c.id, where=calls.c.state.in_([sa.literal_column(f"'{s}'") for s in UNSUCCESSFUL])
)
_index("ix_calls_parent", calls.c.parent, calls.c.id, where=calls.c.parent.is_not(None))
_index("ux_calls_key", calls.c.workspace, calls.c.function_id, calls.c.key, unique=True, where=calls.c.key.is_not(None))

inputs = _table(
    "inputs", ("call_id", "idx"), _text("call_id"), _number("idx"), _text("state"), _number("attempt"), _text("method"),
    _real("created", null=False), _real("started"), _real("ended"), _text("instance", null=True), _number("args_bytes"),
    _number("result_bytes", null=True), _text("error", null=True), _text("traceback", null=True), _bytes("args", null=True),
    _bytes("result", null=True), _number("args_crc", null=True), _number("result_crc", null=True),
)  # fmt: skip

attempts = _table(
    "attempts", ("call_id", "idx", "attempt"), _text("call_id"), _number("idx"), _number("attempt"), _text("state"),
    _text("instance", null=True), _real("started"), _real("ended"), _text("error", null=True),
)  # fmt: skip

instances = _table(
    "instances", ("id",), _text("id"), _text("workspace"), _text("app_id"), _text("app"), _text("function_id"), _text("function"),
    _number("version"), _text("state"), _real("created", null=False), _real("ready"), _real("ended"), _text("reason", null=True),
    _number("pid", null=True), _number("slots"), _text("devices"), _text("phases"), _real("cpu", null=False), _number("memory_mib"),
    _number("simulated"), _text("pool"),
)  # fmt: skip
_index("ix_instances_app", instances.c.workspace, instances.c.app, instances.c.id)
_index("ix_instances_live", instances.c.id, where=instances.c.ended.is_(None))

events = _table(
    "events",
    ("id",),
    _text("id"),
    _text("workspace"),
    _real("at", null=False),
    _text("kind"),
    _text("subject"),
    _text("detail"),
)
_index("ix_events_subject", events.c.subject, events.c.id)

sandboxes = _table(
    "sandboxes", ("id",), _text("id"), _text("workspace"), _text("app_id"), _text("app"), _text("name", null=True), _text("state"),
    _real("created", null=False), _real("ended"), _number("returncode", null=True), _text("reason", null=True), _text("image"),
    _real("timeout_s", null=False), _text("tags"),
)  # fmt: skip
_index("ix_sandboxes_app", sandboxes.c.workspace, sandboxes.c.app, sandboxes.c.id)
_index("ix_sandboxes_live", sandboxes.c.id, where=sandboxes.c.ended.is_(None))

secrets = _table(
    "secrets", ("id",), _text("id"), _text("workspace"), _text("name", null=True), _text("digest"), _text("keys"),
    _real("created", null=False), _real("updated", null=False), _bytes("sealed"),
)  # fmt: skip
_index("ux_secrets_name", secrets.c.workspace, secrets.c.name, unique=True, where=secrets.c.name.is_not(None))
_index("ux_secrets_digest", secrets.c.workspace, secrets.c.digest, unique=True, where=secrets.c.name.is_(None))

volumes = _table(
    "volumes",
    ("id",),
    _text("id"),
    _text("workspace"),
    _text("name"),
    _real("created", null=False),
    _number("ephemeral"),
)
_index("ux_volumes_name", volumes.c.workspace, volumes.c.name, unique=True)

images = _table(
    "images", ("digest",), _text("digest"), _text("state"), _real("created", null=False), _real("build_s"), _text("error", null=True),
    _bytes("spec"),
)  # fmt: skip

image_names = _table(
    "image_names",
    ("workspace", "name"),
    _text("workspace"),
    _text("name"),
    _text("digest"),
    _real("created", null=False),
)
# ephemeral ones have no name and expire unless their client tells that it lives; deleted ones expire at 0
dicts = _table("dicts", ("id",), _text("id"), _text("workspace"), _text("name", null=True), _real("created", null=False), _real("expires"))  # fmt: skip
_index("ux_dicts_name", dicts.c.workspace, dicts.c.name, unique=True, where=dicts.c.name.is_not(None))
_index("ix_dicts_expires", dicts.c.expires, where=dicts.c.expires.is_not(None))

# a value lies in the row, or in a file of this name
dict_entries = _table(
    "dict_entries", ("dict_id", "key"), _text("dict_id"), _bytes("key"), _number("size"), _text("file", null=True), _bytes("value", null=True),
)  # fmt: skip
_index("ix_dict_entries_file", dict_entries.c.dict_id, dict_entries.c.file, where=dict_entries.c.file.is_not(None))

# `sequence` is the number of the last item that any of its partitions was given
queues = _table(
    "queues", ("id",), _text("id"), _text("workspace"), _text("name", null=True), _real("created", null=False), _real("expires"),
    _number("sequence"), _number("partitions"),
)  # fmt: skip
_index("ux_queues_name", queues.c.workspace, queues.c.name, unique=True, where=queues.c.name.is_not(None))
_index("ix_queues_expires", queues.c.expires, where=queues.c.expires.is_not(None))

# those that hold items; the one without a name is b""
queue_partitions = _table(
    "queue_partitions", ("queue_id", "partition"), _text("queue_id"), _bytes("partition"), _number("items"), _number("bytes"),
    _real("expires", null=False),
)  # fmt: skip
_index("ix_queue_partitions_expires", queue_partitions.c.expires)

queue_items = _table(
    "queue_items", ("queue_id", "partition", "sequence"), _text("queue_id"), _bytes("partition"), _number("sequence"), _bytes("value"),
)  # fmt: skip
