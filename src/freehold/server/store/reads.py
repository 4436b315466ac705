"""Typed reads over any store: what listings, details and a restart need."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from zlib import crc32

from freehold.core.errors import DataLossError
from freehold.core.ids import is_id
from freehold.core.states import AppState, CallState, InstanceState, SandboxState
from freehold.server.store import rows as r
from freehold.server.store.contract import Store

_MAX_LIMIT = 10_000


class Reads:
    """Reads of one store. Listings come newest first; every one but the restart's is of one workspace."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ---- calls

    async def calls(self, workspace: str, which: r.CallFilter = r.CallFilter()) -> list[r.CallRow]:  # noqa: B008 (frozen)
        where = [
            "function_like" if n == "function" else n
            for n in _given(which, "app", "function", "kind", "parent", "since", "before")
        ]
        if which.state is not None:
            where.append(
                "unfinished" if not which.state.final else "unsuccessful" if which.state != CallState.SUCCEEDED else ""
            )
            where.append("state")
        return [_call(row) for row in await self._list("calls", workspace, which, where)]

    async def call(self, workspace: str, call_id: str) -> r.CallRow | None:
        rows = await self._store.read("calls", {"workspace": workspace, "id": call_id, "limit": 1}, ("id",))
        return _call(rows[0]) if rows else None

    async def call_by_key(self, workspace: str, function_id: str, key: str) -> r.CallRow | None:
        params = {"workspace": workspace, "function_id": function_id, "key": key, "limit": 1}
        rows = await self._store.read("calls", params, ("key",))
        return _call(rows[0]) if rows else None

    async def nth_call(self, begin: str, before: str, nth: int) -> str | None:
        """The id of the nth call (from 0, by id) of those from `begin` to below `before`; for deleting in steps."""
        rows = await self._store.read("nth_call", {"begin": begin, "before": before, "skip": nth})
        return rows[0][0] if rows else None

    async def inputs(self, call_id: str, *, after: int = -1, limit: int = 1000) -> list[r.InputRow]:
        """Inputs by index, without their payloads."""
        rows = await self._store.read("inputs", {"call_id": call_id, "after": after, "limit": limit})
        return [_input((*row, None, None)) for row in rows]

    async def outcomes(self, call_id: str, *, after: int = -1, limit: int = 1000) -> list[r.InputRow]:
        """Final inputs by index, with their results and without their arguments."""
        rows = await self._store.read("outcomes", {"call_id": call_id, "after": after, "limit": limit})
        return [_input((*row[:-2], None, _intact(row[-2], row[-1], row))) for row in rows]

    async def input(self, call_id: str, idx: int) -> r.InputRow | None:
        """One input, with its arguments and its result."""
        rows = await self._store.read("input", {"call_id": call_id, "idx": idx})
        return _whole_input(rows[0]) if rows else None

    async def attempts(self, call_id: str, *, limit: int = 1000) -> list[r.AttemptRow]:
        rows = await self._store.read("attempts", {"call_id": call_id, "limit": limit})
        return [_attempt(row) for row in rows]

    async def unfinished(self) -> list[r.UnfinishedCall]:
        """Calls of every workspace without a final state, oldest first, each with its unfinished inputs.

        Their counts are what the inputs say: a call's own row is not written at each of its results.
        """
        calls = await self._store.read("unfinished_calls", {})
        counts = {row[0]: row[1:] for row in await self._store.read("unfinished_counts", {})}
        inputs: dict[str, list[r.InputRow]] = {row[0]: [] for row in calls}
        for row in await self._store.read("unfinished_inputs", {}):
            inputs.setdefault(row[0], []).append(_whole_input(row))
        attempts: dict[str, list[r.AttemptRow]] = {}
        for row in await self._store.read("unfinished_attempts", {}):
            attempts.setdefault(row[0], []).append(_attempt(row))
        return [
            r.UnfinishedCall(
                _counted(_call(row), *counts.get(row[0], (0, 0, 0))),
                tuple(inputs[row[0]]),
                tuple(attempts.get(row[0], ())),
            )
            for row in calls
        ]

    # ---- instances, events

    async def instances(self, workspace: str, which: r.InstanceFilter = r.InstanceFilter()) -> list[r.InstanceRow]:  # noqa: B008 (frozen)
        where = _given(which, "app", "function", "before") + (["live"] if which.live_only else [])
        return [_instance(row) for row in await self._list("instances", workspace, which, where)]

    async def instance(self, workspace: str, instance_id: str) -> r.InstanceRow | None:
        rows = await self._store.read("instances", {"workspace": workspace, "id": instance_id, "limit": 1}, ("id",))
        return _instance(rows[0]) if rows else None

    async def sandboxes(self, workspace: str, which: r.SandboxFilter = r.SandboxFilter()) -> list[r.SandboxRow]:  # noqa: B008 (frozen)
        where = _given(which, "app", "name", "before") + (["live"] if which.live_only else [])
        return [_sandbox(row) for row in await self._list("sandboxes", workspace, which, where)]

    async def sandbox(self, workspace: str, sandbox_id: str) -> r.SandboxRow | None:
        rows = await self._store.read("sandboxes", {"workspace": workspace, "id": sandbox_id, "limit": 1}, ("id",))
        return _sandbox(rows[0]) if rows else None

    async def events(self, workspace: str, which: r.EventFilter = r.EventFilter()) -> list[r.EventRow]:  # noqa: B008 (frozen)
        where = _given(which, "kind", "subject", "since", "before")
        rows = await self._list("events", workspace, which, where)
        return [r.EventRow._make((*row[:-1], json.loads(row[-1]))) for row in rows]

    # ---- apps

    async def apps(self, workspace: str, *, limit: int = 1000) -> list[r.AppRow]:
        return [_app(row) for row in await self._store.read("apps", {"workspace": workspace, "limit": limit})]

    async def app(self, workspace: str, name_or_id: str) -> r.AppRow | None:
        """By id; or by name: the deployed one, else the newest."""
        params = {"workspace": workspace, "ref": name_or_id, "limit": 1}
        rows = await self._store.read("apps", params, ("ref",))
        return _app(rows[0]) if rows else None

    async def live_apps(self) -> list[r.AppRow]:
        """Apps of every workspace that are not stopped."""
        return [_app(row) for row in await self._store.read("live_apps", {})]

    async def app_versions(self, app_id: str, *, limit: int = 1000) -> list[r.AppVersionRow]:
        rows = await self._store.read("app_versions", {"app_id": app_id, "limit": limit})
        return [_app_version(row) for row in rows]

    async def app_version(self, app_id: str, version: int) -> r.AppVersionRow | None:
        params = {"app_id": app_id, "version": version, "limit": 1}
        rows = await self._store.read("app_versions", params, ("version",))
        return _app_version(rows[0]) if rows else None

    async def functions(self, workspace: str, app_id: str | None = None) -> list[r.FunctionRow]:
        """Functions that have not ended; of one app, or of all."""
        where = ("app_id",) if app_id is not None else ()
        rows = await self._store.read("functions", {"workspace": workspace, "app_id": app_id}, (*where, "live"))
        return [r.FunctionRow._make(row) for row in rows]

    async def function(self, workspace: str, function_id: str) -> r.FunctionRow | None:
        rows = await self._store.read("functions", {"workspace": workspace, "id": function_id}, ("id",))
        return r.FunctionRow._make(rows[0]) if rows else None

    async def variants(self) -> list[r.VariantRow]:
        return [r.VariantRow._make(row) for row in await self._store.read("variants", {})]

    async def scalings(self) -> list[r.ScalingRow]:
        return [r.ScalingRow._make(row) for row in await self._store.read("scalings", {})]

    async def schedules(self) -> list[r.ScheduleRow]:
        """Of every workspace."""
        return [r.ScheduleRow._make(row) for row in await self._store.read("schedules", {})]

    async def endpoints(self) -> list[r.EndpointRow]:
        return [r.EndpointRow._make(row) for row in await self._store.read("endpoints", {})]

    # ---- the rest

    async def secrets(self, workspace: str) -> list[r.SecretRow]:
        """Named secrets by name."""
        return [_secret(row) for row in await self._store.read("secrets", {"workspace": workspace}, ("named",))]

    async def secret(self, workspace: str, name_or_id: str) -> r.SecretRow | None:
        rows = await self._store.read("secrets", {"workspace": workspace, "ref": name_or_id}, ("ref",))
        return _secret(rows[0]) if rows else None

    async def secret_by_digest(self, workspace: str, digest: str) -> r.SecretRow | None:
        """The secret without a name that holds these values."""
        rows = await self._store.read("secrets", {"workspace": workspace, "digest": digest}, ("digest",))
        return _secret(rows[0]) if rows else None

    async def volumes(self, workspace: str) -> list[r.VolumeRow]:
        return [_volume(row) for row in await self._store.read("volumes", {"workspace": workspace})]

    async def volume(self, workspace: str, name: str) -> r.VolumeRow | None:
        rows = await self._store.read("volumes", {"workspace": workspace, "name": name}, ("name",))
        return _volume(rows[0]) if rows else None

    async def images(self) -> list[r.ImageRow]:
        return [r.ImageRow._make(row) for row in await self._store.read("images", {})]

    async def image(self, digest: str) -> r.ImageRow | None:
        rows = await self._store.read("images", {"digest": digest}, ("digest",))
        return r.ImageRow._make(rows[0]) if rows else None

    async def named_images(self) -> set[str]:
        """Digests of the images that have a name in any workspace."""
        return {row[0] for row in await self._store.read("named_images", {})}

    async def image_names(self, workspace: str) -> list[r.ImageNameRow]:
        """By name."""
        return [r.ImageNameRow._make(row) for row in await self._store.read("image_names", {"workspace": workspace})]

    async def workspaces(self) -> list[r.WorkspaceRow]:
        return [r.WorkspaceRow._make(row) for row in await self._store.read("workspaces", {})]

    async def _list(
        self,
        query: str,
        workspace: str,
        which: "r.CallFilter | r.InstanceFilter | r.SandboxFilter | r.EventFilter",
        where: Sequence[str],
    ) -> list[tuple[Any, ...]]:
        params: dict[str, Any] = asdict(which) | {"workspace": workspace, "limit": max(0, min(which.limit, _MAX_LIMIT))}
        if is_id(params.get("app") or "", "ap"):  # found by its name, which has an index
            app = await self.app(workspace, params["app"])
            params |= {"app_id": params["app"], "app": app.name if app else ""}
            where = [*where, "app_id"]
        if (
            function := params.get("function")
        ) is not None:  # "Ocr" takes in "Ocr.predict": "/" is the character after "."
            params |= {"function_from": f"{function}.", "function_to": f"{function}/"}
        return await self._store.read(query, params, [w for w in where if w])


def _given(which: object, *names: str) -> list[str]:
    return [n for n in names if getattr(which, n) is not None]


def _attempt(row: Sequence[Any]) -> r.AttemptRow:
    return r.AttemptRow._make(row)._replace(state=CallState(row[3]))


def _call(row: tuple[Any, ...]) -> r.CallRow:
    call = r.CallRow._make(row)
    return call._replace(state=CallState(call.state), more=bool(call.more))


def _counted(call: r.CallRow, inputs: int, succeeded: int, failed: int) -> r.CallRow:
    return call._replace(inputs=max(call.inputs, inputs), succeeded=succeeded, failed=failed)


def _input(row: tuple[Any, ...]) -> r.InputRow:
    return r.InputRow._make(row)._replace(state=CallState(row[2]))


def _whole_input(row: tuple[Any, ...]) -> r.InputRow:
    *fields, args, result, args_crc, result_crc = row
    return _input((*fields, _intact(args, args_crc, row), _intact(result, result_crc, row)))


def _intact(payload: bytes | None, crc: int | None, row: tuple[Any, ...]) -> bytes | None:
    if payload is not None and crc32(payload) != crc:
        msg = f"the payload of input {row[1]} of call {row[0]} is damaged in the database; restore a backup"
        raise DataLossError(msg)
    return payload


def _instance(row: tuple[Any, ...]) -> r.InstanceRow:
    i = r.InstanceRow._make(row)
    return i._replace(
        state=InstanceState(i.state),
        devices=tuple(json.loads(str(i.devices))),
        phases=json.loads(str(i.phases)),
        simulated=bool(i.simulated),
    )


def _sandbox(row: tuple[Any, ...]) -> r.SandboxRow:
    b = r.SandboxRow._make(row)
    return b._replace(state=SandboxState(b.state), tags=json.loads(str(b.tags)))


def _app(row: tuple[Any, ...]) -> r.AppRow:
    a = r.AppRow._make(row)
    return a._replace(state=AppState(a.state), tags=json.loads(str(a.tags)))


def _app_version(row: tuple[Any, ...]) -> r.AppVersionRow:
    v = r.AppVersionRow._make(row)
    return v._replace(functions=json.loads(str(v.functions)))


def _secret(row: tuple[Any, ...]) -> r.SecretRow:
    s = r.SecretRow._make(row)
    return s._replace(keys=tuple(json.loads(str(s.keys))))


def _volume(row: tuple[Any, ...]) -> r.VolumeRow:
    v = r.VolumeRow._make(row)
    return v._replace(ephemeral=bool(v.ephemeral))
