"""SQL text for SQLite, written by `python -m freehold.server.store.compile`. Do not edit."""

# ruff: noqa: Q000
# fmt: off

from typing import NamedTuple


class WriteText(NamedTuple):
    """`head` + `row` repeated + `tail` where many rows go in one statement, else `head` alone."""

    table: str
    head: str
    row: str = ""
    tail: str = ""
    order: tuple[int, ...] | None = None  # positions of a row's values in the statement; None: as they come
    checked: tuple[int, ...] = ()


class QueryText(NamedTuple):
    head: str
    conditions: dict[str, str]
    tail: str
    filtered: bool  # `head` has a WHERE


HEAD = '0006'

SCHEMA: tuple[str, ...] = (
    'CREATE TABLE app_versions ( app_id TEXT NOT NULL, version INTEGER NOT NULL, created REAL NOT NULL, tag TEXT, client TEXT NOT NULL, functions TEXT NOT NULL, spec BLOB NOT NULL, CONSTRAINT pk_app_versions PRIMARY KEY (app_id, version) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE apps ( id TEXT NOT NULL, workspace TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL, created REAL NOT NULL, stopped REAL, description TEXT, client TEXT NOT NULL, tags TEXT NOT NULL, CONSTRAINT pk_apps PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE attempts ( call_id TEXT NOT NULL, idx INTEGER NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL, instance TEXT, started REAL, ended REAL, error TEXT, CONSTRAINT pk_attempts PRIMARY KEY (call_id, idx, attempt) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE calls ( id TEXT NOT NULL, workspace TEXT NOT NULL, app_id TEXT NOT NULL, app TEXT NOT NULL, function_id TEXT NOT NULL, function TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL, inputs INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, parent TEXT, error TEXT, version INTEGER NOT NULL, "key" TEXT, parameters BLOB NOT NULL, options BLOB NOT NULL, more INTEGER NOT NULL, variant TEXT, parent_index INTEGER, CONSTRAINT pk_calls PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE commits ( id INTEGER NOT NULL, "database" TEXT NOT NULL, sequence INTEGER NOT NULL, CONSTRAINT pk_commits PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE dict_entries ( dict_id TEXT NOT NULL, "key" BLOB NOT NULL, size INTEGER NOT NULL, file TEXT, value BLOB, CONSTRAINT pk_dict_entries PRIMARY KEY (dict_id, "key") ) WITHOUT ROWID, STRICT',
    'CREATE TABLE dicts ( id TEXT NOT NULL, workspace TEXT NOT NULL, name TEXT, created REAL NOT NULL, expires REAL, CONSTRAINT pk_dicts PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE endpoints ( workspace TEXT NOT NULL, label TEXT NOT NULL, app_id TEXT NOT NULL, app TEXT NOT NULL, function TEXT NOT NULL, method TEXT NOT NULL, port INTEGER NOT NULL, created REAL NOT NULL, CONSTRAINT pk_endpoints PRIMARY KEY (workspace, label) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE events ( id TEXT NOT NULL, workspace TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL, CONSTRAINT pk_events PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE functions ( id TEXT NOT NULL, workspace TEXT NOT NULL, app_id TEXT NOT NULL, app TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL, image TEXT NOT NULL, version INTEGER NOT NULL, created REAL NOT NULL, ended REAL, spec BLOB NOT NULL, CONSTRAINT pk_functions PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE image_names ( workspace TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, created REAL NOT NULL, CONSTRAINT pk_image_names PRIMARY KEY (workspace, name) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE images ( digest TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, build_s REAL, error TEXT, spec BLOB NOT NULL, CONSTRAINT pk_images PRIMARY KEY (digest) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE inputs ( call_id TEXT NOT NULL, idx INTEGER NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, method TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL, instance TEXT, args_bytes INTEGER NOT NULL, result_bytes INTEGER, error TEXT, traceback TEXT, args BLOB, result BLOB, args_crc INTEGER, result_crc INTEGER, CONSTRAINT pk_inputs PRIMARY KEY (call_id, idx) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE instances ( id TEXT NOT NULL, workspace TEXT NOT NULL, app_id TEXT NOT NULL, app TEXT NOT NULL, function_id TEXT NOT NULL, function TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, ready REAL, ended REAL, reason TEXT, pid INTEGER, slots INTEGER NOT NULL, devices TEXT NOT NULL, phases TEXT NOT NULL, cpu REAL NOT NULL, memory_mib INTEGER NOT NULL, simulated INTEGER NOT NULL, pool TEXT NOT NULL, CONSTRAINT pk_instances PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE queue_items ( queue_id TEXT NOT NULL, partition BLOB NOT NULL, sequence INTEGER NOT NULL, value BLOB NOT NULL, CONSTRAINT pk_queue_items PRIMARY KEY (queue_id, partition, sequence) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE queue_partitions ( queue_id TEXT NOT NULL, partition BLOB NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL, expires REAL NOT NULL, CONSTRAINT pk_queue_partitions PRIMARY KEY (queue_id, partition) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE queues ( id TEXT NOT NULL, workspace TEXT NOT NULL, name TEXT, created REAL NOT NULL, expires REAL, sequence INTEGER NOT NULL, partitions INTEGER NOT NULL, CONSTRAINT pk_queues PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE scalings ( function_id TEXT NOT NULL, parameters BLOB NOT NULL, variant TEXT NOT NULL, created REAL NOT NULL, spec TEXT NOT NULL, CONSTRAINT pk_scalings PRIMARY KEY (function_id, parameters, variant) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE schedules ( function_id TEXT NOT NULL, app_id TEXT NOT NULL, base REAL NOT NULL, due REAL NOT NULL, CONSTRAINT pk_schedules PRIMARY KEY (function_id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE secrets ( id TEXT NOT NULL, workspace TEXT NOT NULL, name TEXT, digest TEXT NOT NULL, keys TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, sealed BLOB NOT NULL, CONSTRAINT pk_secrets PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE variants ( workspace TEXT NOT NULL, id TEXT NOT NULL, created REAL NOT NULL, spec BLOB NOT NULL, CONSTRAINT pk_variants PRIMARY KEY (workspace, id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE volumes ( id TEXT NOT NULL, workspace TEXT NOT NULL, name TEXT NOT NULL, created REAL NOT NULL, ephemeral INTEGER NOT NULL, CONSTRAINT pk_volumes PRIMARY KEY (id) ) WITHOUT ROWID, STRICT',
    'CREATE TABLE workspaces ( name TEXT NOT NULL, created REAL NOT NULL, CONSTRAINT pk_workspaces PRIMARY KEY (name) ) WITHOUT ROWID, STRICT',
    'CREATE INDEX ix_apps_name ON apps (workspace, name)',
    'CREATE INDEX ix_calls_app ON calls (workspace, app, id, function)',
    'CREATE INDEX ix_calls_parent ON calls (parent, id) WHERE parent IS NOT NULL',
    "CREATE INDEX ix_calls_unfinished ON calls (id) WHERE state IN ('pending', 'running')",
    "CREATE INDEX ix_calls_unsuccessful ON calls (id) WHERE state IN ('failed', 'timed_out', 'cancelled')",
    'CREATE INDEX ix_dict_entries_file ON dict_entries (dict_id, file) WHERE file IS NOT NULL',
    'CREATE INDEX ix_dicts_expires ON dicts (expires) WHERE expires IS NOT NULL',
    'CREATE INDEX ix_events_subject ON events (subject, id)',
    'CREATE INDEX ix_functions_app ON functions (app_id, name)',
    'CREATE INDEX ix_instances_app ON instances (workspace, app, id)',
    'CREATE INDEX ix_instances_live ON instances (id) WHERE ended IS NULL',
    'CREATE INDEX ix_queue_partitions_expires ON queue_partitions (expires)',
    'CREATE INDEX ix_queues_expires ON queues (expires) WHERE expires IS NOT NULL',
    'CREATE INDEX ix_schedules_app ON schedules (app_id)',
    "CREATE UNIQUE INDEX ux_apps_deployed ON apps (workspace, name) WHERE state = 'deployed'",
    'CREATE UNIQUE INDEX ux_calls_key ON calls (workspace, function_id, "key") WHERE "key" IS NOT NULL',
    'CREATE UNIQUE INDEX ux_dicts_name ON dicts (workspace, name) WHERE name IS NOT NULL',
    'CREATE UNIQUE INDEX ux_endpoints_port ON endpoints (port)',
    'CREATE UNIQUE INDEX ux_queues_name ON queues (workspace, name) WHERE name IS NOT NULL',
    'CREATE UNIQUE INDEX ux_secrets_digest ON secrets (workspace, digest) WHERE name IS NULL',
    'CREATE UNIQUE INDEX ux_secrets_name ON secrets (workspace, name) WHERE name IS NOT NULL',
    'CREATE UNIQUE INDEX ux_volumes_name ON volumes (workspace, name)',
)

WRITES: dict[str, WriteText] = {
    'put_calls': WriteText(table='calls', head='INSERT INTO calls (id, workspace, app_id, app, function_id, function, kind, state, created, started, ended, inputs, succeeded, failed, parent, error, version, "key", parameters, options, more, variant, parent_index) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', tail=" ON CONFLICT (id) DO UPDATE SET state = excluded.state, started = excluded.started, ended = excluded.ended, inputs = excluded.inputs, succeeded = excluded.succeeded, failed = excluded.failed, error = excluded.error, more = excluded.more WHERE calls.state IN ('pending', 'running')"),
    'put_inputs': WriteText(table='inputs', head='INSERT INTO inputs (call_id, idx, state, attempt, method, created, started, ended, instance, args_bytes, result_bytes, error, traceback, args, result, args_crc, result_crc) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', tail=" ON CONFLICT (call_id, idx) DO UPDATE SET state = excluded.state, attempt = excluded.attempt, started = excluded.started, ended = excluded.ended, instance = excluded.instance, result_bytes = excluded.result_bytes, error = excluded.error, traceback = excluded.traceback, args = coalesce(excluded.args, inputs.args), result = coalesce(excluded.result, inputs.result), args_crc = coalesce(excluded.args_crc, inputs.args_crc), result_crc = coalesce(excluded.result_crc, inputs.result_crc) WHERE inputs.state IN ('pending', 'running') AND inputs.attempt <= excluded.attempt", checked=(13, 14)),
    'insert_inputs': WriteText(table='inputs', head='INSERT INTO inputs (call_id, idx, state, attempt, method, created, started, ended, instance, args_bytes, result_bytes, error, traceback, args, result, args_crc, result_crc) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', tail=' ON CONFLICT DO NOTHING', checked=(13, 14)),
    'insert_attempts': WriteText(table='attempts', head='INSERT INTO attempts (call_id, idx, attempt, state, instance, started, ended, error) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?)', tail=' ON CONFLICT DO NOTHING'),
    'prune_attempts': WriteText(table='attempts', head="DELETE FROM attempts WHERE attempts.call_id IN (SELECT calls.id FROM calls WHERE calls.id < ? AND (calls.state NOT IN ('pending', 'running')))"),
    'prune_inputs': WriteText(table='inputs', head="DELETE FROM inputs WHERE inputs.call_id IN (SELECT calls.id FROM calls WHERE calls.id < ? AND (calls.state NOT IN ('pending', 'running')))"),
    'prune_calls': WriteText(table='calls', head="DELETE FROM calls WHERE calls.id IN (SELECT calls.id FROM calls WHERE calls.id < ? AND (calls.state NOT IN ('pending', 'running')))"),
    'put_instances': WriteText(table='instances', head='INSERT INTO instances (id, workspace, app_id, app, function_id, function, version, state, created, ready, ended, reason, pid, slots, devices, phases, cpu, memory_mib, simulated, pool) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', tail=" ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state, ready = excluded.ready, ended = excluded.ended, reason = excluded.reason, pid = excluded.pid, slots = excluded.slots, devices = excluded.devices, phases = excluded.phases, simulated = excluded.simulated WHERE instances.state != 'offline'"),
    'end_instances': WriteText(table='instances', head='UPDATE instances SET state=?, ended=?, reason=? WHERE instances.ended IS NULL'),
    'prune_instances': WriteText(table='instances', head='DELETE FROM instances WHERE instances.id < ? AND instances.ended IS NOT NULL'),
    'put_apps': WriteText(table='apps', head='INSERT INTO apps (id, workspace, name, state, version, created, stopped, description, client, tags) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', tail=' ON CONFLICT (id) DO UPDATE SET state = excluded.state, version = excluded.version, stopped = excluded.stopped, description = excluded.description, client = excluded.client, tags = excluded.tags'),
    'set_app_state': WriteText(table='apps', head='UPDATE apps SET state=?, stopped=? WHERE apps.id = ?', order=(1, 2, 0)),
    'set_app_version': WriteText(table='apps', head='UPDATE apps SET version=? WHERE apps.id = ?', order=(1, 0)),
    'put_app_versions': WriteText(table='app_versions', head='INSERT INTO app_versions (app_id, version, created, tag, client, functions, spec) VALUES ', row='(?, ?, ?, ?, ?, ?, ?)', tail=' ON CONFLICT (app_id, version) DO UPDATE SET tag = excluded.tag, client = excluded.client, functions = excluded.functions, spec = excluded.spec'),
    'put_functions': WriteText(table='functions', head='INSERT INTO functions (id, workspace, app_id, app, name, kind, digest, image, version, created, ended, spec) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', tail=' ON CONFLICT (id) DO UPDATE SET image = excluded.image, version = excluded.version, ended = excluded.ended, spec = excluded.spec'),
    'put_variants': WriteText(table='variants', head='INSERT INTO variants (workspace, id, created, spec) VALUES ', row='(?, ?, ?, ?)', tail=' ON CONFLICT DO NOTHING'),
    'put_scalings': WriteText(table='scalings', head='INSERT INTO scalings (function_id, parameters, variant, created, spec) VALUES ', row='(?, ?, ?, ?, ?)', tail=' ON CONFLICT (function_id, parameters, variant) DO UPDATE SET created = excluded.created, spec = excluded.spec'),
    'delete_scalings': WriteText(table='scalings', head='DELETE FROM scalings WHERE scalings.function_id = ?'),
    'put_schedules': WriteText(table='schedules', head='INSERT INTO schedules (function_id, app_id, base, due) VALUES ', row='(?, ?, ?, ?)', tail=' ON CONFLICT (function_id) DO UPDATE SET app_id = excluded.app_id, base = excluded.base, due = excluded.due'),
    'set_schedule_due': WriteText(table='schedules', head='UPDATE schedules SET due=? WHERE schedules.function_id = ? AND schedules.base = ?', order=(2, 0, 1)),
    'delete_schedules': WriteText(table='schedules', head='DELETE FROM schedules WHERE schedules.app_id = ?'),
    'put_endpoints': WriteText(table='endpoints', head='INSERT INTO endpoints (workspace, label, app_id, app, function, method, port, created) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?)', tail=' ON CONFLICT (workspace, label) DO UPDATE SET app_id = excluded.app_id, app = excluded.app, function = excluded.function, method = excluded.method, port = excluded.port'),
    'delete_endpoints': WriteText(table='endpoints', head='DELETE FROM endpoints WHERE endpoints.workspace = ? AND endpoints.label = ?'),
    'insert_events': WriteText(table='events', head='INSERT INTO events (id, workspace, at, kind, subject, detail) VALUES ', row='(?, ?, ?, ?, ?, ?)', tail=''),
    'prune_events': WriteText(table='events', head='DELETE FROM events WHERE events.id < ?'),
    'put_secrets': WriteText(table='secrets', head='INSERT INTO secrets (id, workspace, name, digest, keys, created, updated, sealed) VALUES ', row='(?, ?, ?, ?, ?, ?, ?, ?)', tail=' ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, keys = excluded.keys, updated = excluded.updated, sealed = excluded.sealed'),
    'delete_secrets': WriteText(table='secrets', head='DELETE FROM secrets WHERE secrets.workspace = ? AND secrets.name = ?'),
    'put_volumes': WriteText(table='volumes', head='INSERT INTO volumes (id, workspace, name, created, ephemeral) VALUES ', row='(?, ?, ?, ?, ?)', tail=' ON CONFLICT (id) DO UPDATE SET ephemeral = excluded.ephemeral'),
    'delete_volumes': WriteText(table='volumes', head='DELETE FROM volumes WHERE volumes.workspace = ? AND volumes.name = ?'),
    'put_images': WriteText(table='images', head='INSERT INTO images (digest, state, created, build_s, error, spec) VALUES ', row='(?, ?, ?, ?, ?, ?)', tail=' ON CONFLICT (digest) DO UPDATE SET state = excluded.state, created = excluded.created, build_s = excluded.build_s, error = excluded.error, spec = excluded.spec'),
    'delete_images': WriteText(table='images', head='DELETE FROM images WHERE images.digest = ?'),
    'put_image_names': WriteText(table='image_names', head='INSERT INTO image_names (workspace, name, digest, created) VALUES ', row='(?, ?, ?, ?)', tail=' ON CONFLICT (workspace, name) DO UPDATE SET digest = excluded.digest, created = excluded.created'),
    'delete_image_names': WriteText(table='image_names', head='DELETE FROM image_names WHERE image_names.digest = ?'),
    'fail_images': WriteText(table='images', head="UPDATE images SET state='failed', error=? WHERE images.state = 'building'"),
    'put_workspaces': WriteText(table='workspaces', head='INSERT INTO workspaces (name, created) VALUES ', row='(?, ?)', tail=' ON CONFLICT DO NOTHING'),
    'delete_workspaces': WriteText(table='workspaces', head='DELETE FROM workspaces WHERE workspaces.name = ?'),
    'insert_dicts': WriteText(table='dicts', head='INSERT INTO dicts (id, workspace, name, created, expires) VALUES ', row='(?, ?, ?, ?, ?)', tail=''),
    'beat_dicts': WriteText(table='dicts', head='UPDATE dicts SET expires=? WHERE dicts.id = ? AND dicts.expires > 0', order=(1, 0)),
    'spare_dicts': WriteText(table='dicts', head='UPDATE dicts SET expires=? WHERE dicts.expires > 0'),
    'end_dicts': WriteText(table='dicts', head='UPDATE dicts SET name=NULL, expires=0 WHERE dicts.id = ?'),
    'delete_dicts': WriteText(table='dicts', head='DELETE FROM dicts WHERE dicts.id = ?'),
    'put_dict_entries': WriteText(table='dict_entries', head='INSERT INTO dict_entries (dict_id, "key", size, file, value) VALUES ', row='(?, ?, ?, ?, ?)', tail=' ON CONFLICT (dict_id, "key") DO UPDATE SET size = excluded.size, file = excluded.file, value = excluded.value'),
    'insert_dict_entries': WriteText(table='dict_entries', head='INSERT INTO dict_entries (dict_id, "key", size, file, value) VALUES ', row='(?, ?, ?, ?, ?)', tail=' ON CONFLICT DO NOTHING'),
    'delete_dict_entry': WriteText(table='dict_entries', head='DELETE FROM dict_entries WHERE dict_entries.dict_id = ? AND dict_entries."key" = ?'),
    'delete_first_dict_entries': WriteText(table='dict_entries', head='DELETE FROM dict_entries WHERE dict_entries.dict_id = ? AND dict_entries."key" <= ?'),
    'insert_queues': WriteText(table='queues', head='INSERT INTO queues (id, workspace, name, created, expires, sequence, partitions) VALUES ', row='(?, ?, ?, ?, ?, ?, ?)', tail=''),
    'beat_queues': WriteText(table='queues', head='UPDATE queues SET expires=? WHERE queues.id = ? AND queues.expires > 0', order=(1, 0)),
    'spare_queues': WriteText(table='queues', head='UPDATE queues SET expires=? WHERE queues.expires > 0'),
    'end_queues': WriteText(table='queues', head='UPDATE queues SET name=NULL, expires=0 WHERE queues.id = ?'),
    'delete_queues': WriteText(table='queues', head='DELETE FROM queues WHERE queues.id = ?'),
    'count_queues': WriteText(table='queues', head='UPDATE queues SET sequence=?, partitions=? WHERE queues.id = ?', order=(1, 2, 0)),
    'put_queue_partitions': WriteText(table='queue_partitions', head='INSERT INTO queue_partitions (queue_id, partition, items, bytes, expires) VALUES ', row='(?, ?, ?, ?, ?)', tail=' ON CONFLICT (queue_id, partition) DO UPDATE SET items = excluded.items, bytes = excluded.bytes, expires = excluded.expires'),
    'delete_queue_partition': WriteText(table='queue_partitions', head='DELETE FROM queue_partitions WHERE queue_partitions.queue_id = ? AND queue_partitions.partition = ?'),
    'insert_queue_items': WriteText(table='queue_items', head='INSERT INTO queue_items (queue_id, partition, sequence, value) VALUES ', row='(?, ?, ?, ?)', tail=''),
    'take_queue_items': WriteText(table='queue_items', head='DELETE FROM queue_items WHERE queue_items.queue_id = ? AND queue_items.partition = ? AND queue_items.sequence <= ?'),
    'delete_queue_items': WriteText(table='queue_items', head='DELETE FROM queue_items WHERE queue_items.queue_id = ? AND queue_items.partition = ?'),
}

QUERIES: dict[str, QueryText] = {
    'calls': QueryText(head='SELECT calls.id, calls.workspace, calls.app_id, calls.app, calls.function_id, calls.function, calls.kind, calls.state, calls.created, calls.started, calls.ended, calls.inputs, calls.succeeded, calls.failed, calls.parent, calls.error, calls.version, calls."key", calls.parameters, calls.options, calls.more, calls.variant, calls.parent_index FROM calls WHERE +calls.workspace = :workspace', conditions={'id': '(calls.id = :id)', 'key': '(calls.workspace = :workspace AND calls.function_id = :function_id AND calls."key" = :key)', 'app': '(calls.workspace = :workspace AND calls.app = :app)', 'app_id': '(calls.app_id = :app_id)', 'function_like': '(calls.function = :function OR calls.function > :function_from AND calls.function < :function_to)', 'state': '(calls.state = :state)', 'unfinished': "(calls.state IN ('pending', 'running'))", 'unsuccessful': "(calls.state IN ('failed', 'timed_out', 'cancelled'))", 'kind': '(calls.kind = :kind)', 'parent': '(calls.parent = :parent)', 'since': '(calls.created >= :since)', 'before': '(calls.id < :before)'}, tail='ORDER BY calls.id DESC LIMIT :limit', filtered=True),
    'inputs': QueryText(head='SELECT inputs.call_id, inputs.idx, inputs.state, inputs.attempt, inputs.method, inputs.created, inputs.started, inputs.ended, inputs.instance, inputs.args_bytes, inputs.result_bytes, inputs.error, inputs.traceback FROM inputs WHERE inputs.call_id = :call_id AND inputs.idx > :after', conditions={}, tail='ORDER BY inputs.idx LIMIT :limit', filtered=True),
    'outcomes': QueryText(head="SELECT inputs.call_id, inputs.idx, inputs.state, inputs.attempt, inputs.method, inputs.created, inputs.started, inputs.ended, inputs.instance, inputs.args_bytes, inputs.result_bytes, inputs.error, inputs.traceback, inputs.result, inputs.result_crc FROM inputs WHERE inputs.call_id = :call_id AND inputs.idx > :after AND (inputs.state NOT IN ('pending', 'running'))", conditions={}, tail='ORDER BY inputs.idx LIMIT :limit', filtered=True),
    'input': QueryText(head='SELECT inputs.call_id, inputs.idx, inputs.state, inputs.attempt, inputs.method, inputs.created, inputs.started, inputs.ended, inputs.instance, inputs.args_bytes, inputs.result_bytes, inputs.error, inputs.traceback, inputs.args, inputs.result, inputs.args_crc, inputs.result_crc FROM inputs WHERE inputs.call_id = :call_id AND inputs.idx = :idx', conditions={}, tail='', filtered=True),
    'attempts': QueryText(head='SELECT attempts.call_id, attempts.idx, attempts.attempt, attempts.state, attempts.instance, attempts.started, attempts.ended, attempts.error FROM attempts WHERE attempts.call_id = :call_id', conditions={}, tail='ORDER BY attempts.idx, attempts.attempt LIMIT :limit', filtered=True),
    'unfinished_calls': QueryText(head='SELECT calls.id, calls.workspace, calls.app_id, calls.app, calls.function_id, calls.function, calls.kind, calls.state, calls.created, calls.started, calls.ended, calls.inputs, calls.succeeded, calls.failed, calls.parent, calls.error, calls.version, calls."key", calls.parameters, calls.options, calls.more, calls.variant, calls.parent_index FROM calls WHERE calls.state IN (\'pending\', \'running\')', conditions={}, tail='ORDER BY calls.id', filtered=True),
    'nth_call': QueryText(head='SELECT calls.id FROM calls WHERE calls.id >= :begin AND calls.id < :before', conditions={}, tail='ORDER BY calls.id LIMIT 1 OFFSET :skip', filtered=True),
    'unfinished_counts': QueryText(head="SELECT inputs.call_id, count(*) AS count_1, sum(CASE WHEN (inputs.state IN ('succeeded')) THEN 1 ELSE 0 END) AS sum_1, sum(CASE WHEN (inputs.state IN ('failed', 'timed_out', 'cancelled')) THEN 1 ELSE 0 END) AS sum_2 FROM inputs WHERE inputs.call_id IN (SELECT calls.id FROM calls WHERE calls.state IN ('pending', 'running'))", conditions={}, tail='GROUP BY inputs.call_id', filtered=True),
    'unfinished_inputs': QueryText(head="SELECT inputs.call_id, inputs.idx, inputs.state, inputs.attempt, inputs.method, inputs.created, inputs.started, inputs.ended, inputs.instance, inputs.args_bytes, inputs.result_bytes, inputs.error, inputs.traceback, inputs.args, inputs.result, inputs.args_crc, inputs.result_crc FROM inputs WHERE inputs.call_id IN (SELECT calls.id FROM calls WHERE calls.state IN ('pending', 'running')) AND inputs.state IN ('pending', 'running')", conditions={}, tail='ORDER BY inputs.call_id, inputs.idx', filtered=True),
    'unfinished_attempts': QueryText(head="SELECT attempts.call_id, attempts.idx, attempts.attempt, attempts.state, attempts.instance, attempts.started, attempts.ended, attempts.error FROM attempts WHERE attempts.call_id IN (SELECT calls.id FROM calls WHERE calls.state IN ('pending', 'running'))", conditions={}, tail='ORDER BY attempts.call_id, attempts.idx, attempts.attempt', filtered=True),
    'instances': QueryText(head='SELECT instances.id, instances.workspace, instances.app_id, instances.app, instances.function_id, instances.function, instances.version, instances.state, instances.created, instances.ready, instances.ended, instances.reason, instances.pid, instances.slots, instances.devices, instances.phases, instances.cpu, instances.memory_mib, instances.simulated, instances.pool FROM instances WHERE +instances.workspace = :workspace', conditions={'id': '(instances.id = :id)', 'app': '(instances.workspace = :workspace AND instances.app = :app)', 'app_id': '(instances.app_id = :app_id)', 'function': '(instances.function = :function)', 'live': '(instances.ended IS NULL)', 'before': '(instances.id < :before)'}, tail='ORDER BY instances.id DESC LIMIT :limit', filtered=True),
    'events': QueryText(head='SELECT events.id, events.workspace, events.at, events.kind, events.subject, events.detail FROM events WHERE events.workspace = :workspace', conditions={'kind': '(events.kind = :kind)', 'subject': '(events.subject = :subject)', 'since': '(events.at >= :since)', 'before': '(events.id < :before)'}, tail='ORDER BY events.id DESC LIMIT :limit', filtered=True),
    'apps': QueryText(head='SELECT apps.id, apps.workspace, apps.name, apps.state, apps.version, apps.created, apps.stopped, apps.description, apps.client, apps.tags FROM apps WHERE apps.workspace = :workspace', conditions={'ref': '(apps.id = :ref OR apps.name = :ref)'}, tail="ORDER BY apps.state = 'deployed' DESC, apps.id DESC LIMIT :limit", filtered=True),
    'live_apps': QueryText(head="SELECT apps.id, apps.workspace, apps.name, apps.state, apps.version, apps.created, apps.stopped, apps.description, apps.client, apps.tags FROM apps WHERE apps.state != 'stopped'", conditions={}, tail='ORDER BY apps.id', filtered=True),
    'app_versions': QueryText(head='SELECT app_versions.app_id, app_versions.version, app_versions.created, app_versions.tag, app_versions.client, app_versions.functions, app_versions.spec FROM app_versions WHERE app_versions.app_id = :app_id', conditions={'version': '(app_versions.version = :version)'}, tail='ORDER BY app_versions.version DESC LIMIT :limit', filtered=True),
    'functions': QueryText(head='SELECT functions.id, functions.workspace, functions.app_id, functions.app, functions.name, functions.kind, functions.digest, functions.image, functions.version, functions.created, functions.ended, functions.spec FROM functions WHERE functions.workspace = :workspace', conditions={'id': '(functions.id = :id)', 'app_id': '(functions.app_id = :app_id)', 'live': '(functions.ended IS NULL)'}, tail='ORDER BY functions.id', filtered=True),
    'variants': QueryText(head='SELECT variants.workspace, variants.id, variants.created, variants.spec FROM variants', conditions={}, tail='ORDER BY variants.workspace, variants.id', filtered=False),
    'scalings': QueryText(head='SELECT scalings.function_id, scalings.parameters, scalings.variant, scalings.created, scalings.spec FROM scalings', conditions={}, tail='ORDER BY scalings.function_id', filtered=False),
    'schedules': QueryText(head='SELECT schedules.function_id, schedules.app_id, schedules.base, schedules.due FROM schedules', conditions={}, tail='ORDER BY schedules.function_id', filtered=False),
    'endpoints': QueryText(head='SELECT endpoints.workspace, endpoints.label, endpoints.app_id, endpoints.app, endpoints.function, endpoints.method, endpoints.port, endpoints.created FROM endpoints', conditions={}, tail='ORDER BY endpoints.workspace, endpoints.label', filtered=False),
    'secrets': QueryText(head='SELECT secrets.id, secrets.workspace, secrets.name, secrets.digest, secrets.keys, secrets.created, secrets.updated, secrets.sealed FROM secrets WHERE secrets.workspace = :workspace', conditions={'named': '(secrets.name IS NOT NULL)', 'ref': '(secrets.id = :ref OR secrets.name = :ref)', 'digest': '(secrets.digest = :digest AND secrets.name IS NULL)'}, tail='ORDER BY secrets.name', filtered=True),
    'volumes': QueryText(head='SELECT volumes.id, volumes.workspace, volumes.name, volumes.created, volumes.ephemeral FROM volumes WHERE volumes.workspace = :workspace', conditions={'name': '(volumes.name = :name)'}, tail='ORDER BY volumes.name', filtered=True),
    'images': QueryText(head='SELECT images.digest, images.state, images.created, images.build_s, images.error, images.spec FROM images', conditions={'digest': '(images.digest = :digest)'}, tail='ORDER BY images.created DESC', filtered=False),
    'image_names': QueryText(head='SELECT image_names.workspace, image_names.name, image_names.digest, image_names.created FROM image_names WHERE image_names.workspace = :workspace', conditions={}, tail='ORDER BY image_names.name', filtered=True),
    'workspaces': QueryText(head='SELECT workspaces.name, workspaces.created FROM workspaces', conditions={}, tail='ORDER BY workspaces.name', filtered=False),
    'dicts': QueryText(head='SELECT dicts.id, dicts.workspace, dicts.name, dicts.created, dicts.expires FROM dicts WHERE dicts.workspace = :workspace AND dicts.name IS NOT NULL AND dicts.created < :before', conditions={}, tail='ORDER BY dicts.created DESC, dicts.id DESC LIMIT :limit', filtered=True),
    'dicts_by_id': QueryText(head='SELECT dicts.id, dicts.workspace, dicts.name, dicts.created, dicts.expires FROM dicts WHERE dicts.workspace = :workspace AND dicts.id = :ref AND (dicts.expires IS NULL OR dicts.expires > 0)', conditions={}, tail='', filtered=True),
    'dicts_by_name': QueryText(head='SELECT dicts.id, dicts.workspace, dicts.name, dicts.created, dicts.expires FROM dicts WHERE dicts.workspace = :workspace AND dicts.name = :ref', conditions={}, tail='', filtered=True),
    'all_dicts': QueryText(head='SELECT dicts.id FROM dicts WHERE dicts.workspace = :workspace AND (dicts.expires IS NULL OR dicts.expires > 0)', conditions={}, tail='', filtered=True),
    'expired_dicts': QueryText(head='SELECT dicts.id FROM dicts WHERE dicts.expires < :now', conditions={}, tail='', filtered=True),
    'dict_entry': QueryText(head='SELECT dict_entries.size, dict_entries.file, dict_entries.value FROM dicts LEFT OUTER JOIN dict_entries ON dict_entries.dict_id = dicts.id AND dict_entries."key" = :key WHERE dicts.id = :dict_id AND dicts.workspace = :workspace AND (dicts.expires IS NULL OR dicts.expires > 0)', conditions={}, tail='', filtered=True),
    'dict_entries': QueryText(head='SELECT dict_entries.dict_id, dict_entries."key", dict_entries.size, dict_entries.file, dict_entries.value FROM dict_entries WHERE dict_entries.dict_id = :dict_id AND dict_entries."key" > :after', conditions={}, tail='ORDER BY dict_entries."key" LIMIT :limit', filtered=True),
    'dict_keys': QueryText(head='SELECT dict_entries.dict_id, dict_entries."key", dict_entries.size, dict_entries.file FROM dict_entries WHERE dict_entries.dict_id = :dict_id AND dict_entries."key" > :after', conditions={}, tail='ORDER BY dict_entries."key" LIMIT :limit', filtered=True),
    'dict_length': QueryText(head='SELECT count(*) AS count_1 FROM dict_entries WHERE dict_entries.dict_id = :dict_id', conditions={}, tail='', filtered=True),
    'dict_files': QueryText(head='SELECT dict_entries."key", dict_entries.file FROM dict_entries WHERE dict_entries.dict_id = :dict_id AND dict_entries.file IS NOT NULL', conditions={}, tail='', filtered=True),
    'files_of_dicts': QueryText(head='SELECT dict_entries.dict_id, dict_entries.file FROM dict_entries WHERE dict_entries.file IS NOT NULL', conditions={}, tail='', filtered=True),
    'queues': QueryText(head='SELECT queues.id, queues.workspace, queues.name, queues.created, queues.expires, queues.sequence, queues.partitions FROM queues WHERE queues.workspace = :workspace AND queues.name IS NOT NULL AND queues.created < :before', conditions={}, tail='ORDER BY queues.created DESC, queues.id DESC LIMIT :limit', filtered=True),
    'queues_by_id': QueryText(head='SELECT queues.id, queues.workspace, queues.name, queues.created, queues.expires, queues.sequence, queues.partitions FROM queues WHERE queues.workspace = :workspace AND queues.id = :ref AND (queues.expires IS NULL OR queues.expires > 0)', conditions={}, tail='', filtered=True),
    'queues_by_name': QueryText(head='SELECT queues.id, queues.workspace, queues.name, queues.created, queues.expires, queues.sequence, queues.partitions FROM queues WHERE queues.workspace = :workspace AND queues.name = :ref', conditions={}, tail='', filtered=True),
    'all_queues': QueryText(head='SELECT queues.id FROM queues WHERE queues.workspace = :workspace AND (queues.expires IS NULL OR queues.expires > 0)', conditions={}, tail='', filtered=True),
    'expired_queues': QueryText(head='SELECT queues.id FROM queues WHERE queues.expires < :now', conditions={}, tail='', filtered=True),
    'queue_counts': QueryText(head='SELECT queues.sequence, queues.partitions FROM queues WHERE queues.id = :queue_id', conditions={}, tail='', filtered=True),
    'queue_partition': QueryText(head='SELECT queue_partitions.queue_id, queue_partitions.partition, queue_partitions.items, queue_partitions.bytes, queue_partitions.expires FROM queue_partitions WHERE queue_partitions.queue_id = :queue_id AND queue_partitions.partition = :part', conditions={}, tail='', filtered=True),
    'queue_items': QueryText(head='SELECT queue_items.sequence, queue_items.value FROM queue_items WHERE queue_items.queue_id = :queue_id AND queue_items.partition = :part AND queue_items.sequence > :after', conditions={}, tail='ORDER BY queue_items.sequence LIMIT :limit', filtered=True),
    'queue_total': QueryText(head='SELECT count(*) AS count_1, coalesce(sum(queue_partitions.items), 0) AS coalesce_1 FROM queue_partitions WHERE queue_partitions.queue_id = :queue_id AND queue_partitions.expires > :now', conditions={}, tail='', filtered=True),
    'queue_partitions': QueryText(head='SELECT queue_partitions.partition FROM queue_partitions WHERE queue_partitions.queue_id = :queue_id AND queue_partitions.partition >= :begin', conditions={}, tail='ORDER BY queue_partitions."partition" LIMIT :limit', filtered=True),
    'expired_queue_partitions': QueryText(head='SELECT queue_partitions.queue_id, queue_partitions.partition FROM queue_partitions WHERE queue_partitions.expires <= :now', conditions={}, tail='LIMIT :limit', filtered=True),
}
