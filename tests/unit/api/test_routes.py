"""What the routes take, give and refuse."""

import errno
import hashlib
import json
import os
from typing import Any

import msgspec
import pytest
from tests.unit.api.conftest import INSTANCE_TOKEN

from freehold.core.errors import ConflictError, InternalError, NotFoundError, ResourceExhaustedError
from freehold.core.specs import AppSpec, FunctionSpec, Mount
from freehold.protocol.schemas import AppRequest
from freehold.protocol.version import PROTOCOL_VERSION


async def test_probes(world: Any) -> None:
    async with world.client(None) as client:
        for path in ("/livez", "/health", "/healthz", "/readyz", "/startupz"):
            assert (await client.get(path)).status_code == 200
        world.status.up = False
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503


async def test_an_app_request_arrives_as_it_was_written(world: Any) -> None:
    function = FunctionSpec(
        name="f", module="m", qualname="f", serialized=b"\x00\xff", mounts=(Mount(digest="d", remote_path="/root"),)
    )
    body = AppRequest(spec=AppSpec(name="ocr", functions=(function,)), mode="deploy", client="freehold 1")
    async with world.client() as client:
        answer = await client.post("/v1/apps", content=msgspec.json.encode(body))
    assert answer.status_code == 200
    assert answer.json()["name"] == "ocr"
    assert world.apps.asked == [("create", "main", body, "freehold 1")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", ["AppRequest", "spec"]),
        (b"not json", ["not JSON"]),
        (b'{"spec": {"name": "x"}, "mode": "sideways"}', ["sideways", "$.mode"]),
        (b'{"spec": {"name": 5}, "mode": "deploy"}', ["int", "$.spec.name"]),
        (b"\xff\xfe", ["not JSON"]),
        (b"[" * 9000, ["AppRequest"]),
    ],
)
async def test_a_bad_body_is_told_by_field(world: Any, body: bytes, words: list[str]) -> None:
    async with world.client() as client:
        answer = await client.post("/v1/apps", content=body)
    assert answer.status_code == 400
    fault = answer.json()["error"]
    assert (fault["code"], fault["type"]) == ("invalid_argument", "InvalidError")
    assert all(word in fault["message"] for word in words), fault["message"]


async def test_a_body_over_the_limit_is_413(world: Any) -> None:
    async with world.client() as client:
        answer = await client.post("/v1/apps", content=b"x" * 10_001)
    assert answer.status_code == 413
    assert "10000 bytes" in answer.json()["error"]["message"]


async def test_a_bad_query_is_told_with_its_value(world: Any) -> None:
    async with world.client() as client:
        answer = await client.get("/v1/calls?limit=many&state=lost")
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert all(word in message for word in ("limit", "'many'", "state", "'lost'", "succeeded"))


async def test_unknown_paths_and_methods(world: Any) -> None:
    async with world.client() as client:
        assert (await client.get("/v1/nothing")).status_code == 404
        wrong = await client.delete("/v1/apps")
        assert wrong.status_code == 405
        assert wrong.json()["error"]["type"] == "InvalidError"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("no"), 404), (ConflictError("no"), 409), (ResourceExhaustedError("full"), 429), (InternalError("broke"), 500)
    ],
)  # fmt: skip
async def test_errors_have_their_status_and_request_id(world: Any, error: Exception, status: int) -> None:
    world.apps.error = error
    async with world.client(**{"x-request-id": "mine"}) as client:
        answer = await client.get("/v1/apps")
    assert answer.status_code == status
    assert answer.json()["error"]["request_id"] == "mine"
    assert answer.headers["x-request-id"] == "mine"
    assert ("retry-after" in answer.headers) == (status == 429)
    assert "broke" not in answer.text


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(errno.ENOSPC, 429, "disk"), (errno.EMFILE, 429, "ulimit -n"), (errno.EACCES, 500, "log")],
)
async def test_what_the_machine_lacks_is_said_with_its_fix(world: Any, number: int, status: int, word: str) -> None:
    world.apps.error = OSError(number, os.strerror(number), "/somewhere")
    async with world.client() as client:
        answer = await client.get("/v1/apps")
    assert answer.status_code == status
    assert word in answer.json()["error"]["message"]


async def test_an_unforeseen_error_tells_nothing(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world.apps.error = RuntimeError("/secret/path")
    async with world.client() as client:
        answer = await client.get("/v1/apps")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "/secret/path" in caplog.text


async def test_versions_are_compared(world: Any) -> None:
    async with world.client() as client:
        assert (await client.get("/v1/apps")).headers["x-freehold-protocol"] == str(PROTOCOL_VERSION)
        assert (await client.get("/v1/apps", headers={"x-freehold-protocol": str(PROTOCOL_VERSION)})).status_code == 200
        other = await client.get("/v1/apps", headers={"x-freehold-protocol": "99"})
    assert other.status_code == 409
    fault = other.json()["error"]
    assert fault["type"] == "VersionError"
    assert "99" in fault["message"]
    assert f"'{PROTOCOL_VERSION}'" in fault["message"]


async def test_requests_are_recorded_by_template(world: Any) -> None:
    async with world.client() as client:
        await client.get("/v1/apps/some-name")
        await client.get("/elsewhere")
    first, second = world.records
    assert (first.method, first.handler, first.status) == ("GET", "/v1/apps/{app}", 404)
    assert (second.handler, second.status) == ("unmatched", 404)
    assert first.request_id.startswith("rq-")


async def test_json_calls(world: Any) -> None:
    async with world.client() as client:
        answer = await client.post(
            "/v1/functions/demo/Ocr/predict/call?wait=false",
            json={"args": [1], "kwargs": {"a": None}, "parameters": {"lang": "ko"}},
            headers={"Idempotency-Key": "k1"},
        )
        assert answer.status_code == 202
        plain = await client.post("/v1/functions/demo/shout/call", json={"args": ["x"]})
        assert plain.json() == {"call": "fc-1", "result": {"args": ["x"], "kwargs": {}}}
        assert (await client.post("/v1/functions/demo/shout/call", content=b"")).status_code == 200
        assert (await client.post("/v1/functions/demo/shout/call", json={"args": {"x": 1}})).status_code == 400
        deep = await client.post("/v1/functions/demo/shout/call", content=b'{"args":' + b"[" * 9_000)
        assert deep.status_code == 400
    workspace, app, function, method, key, wait, call = world.calls.asked[0]
    assert (workspace, app, function, method, key, wait) == ("main", "demo", "Ocr", "predict", "k1", False)
    assert (call.args, call.kwargs, call.parameters) == ([1], {"a": None}, {"lang": "ko"})


async def test_images_stream_their_log_then_their_end(world: Any) -> None:
    async with world.client() as client:
        good = await client.post("/v1/images", json={"spec": {"steps": []}})
        world.images.fails = True
        bad = await client.post("/v1/images", json={"spec": {"steps": []}})
    lines = [json.loads(line) for line in good.text.splitlines()]
    assert lines[:2] == [{"log": "one"}, {"log": "two"}]
    assert lines[2]["image"]["state"] == "ready"
    last = json.loads(bad.text.splitlines()[-1])
    assert last["error"]["type"] == "ImageBuildError"
    assert "step 2" in last["error"]["message"]


async def test_images_are_listed_read_and_deleted(world: Any) -> None:
    async with world.client() as client:
        assert [i["digest"] for i in (await client.get("/v1/images")).json()] == ["d"]
        assert (await client.get("/v1/images/im-abc")).json()["digest"] == "im-abc"
        log = await client.get("/v1/images/im-abc/log")
        assert [json.loads(line) for line in log.text.splitlines()] == [{"log": "one"}, {"log": "two"}]
        assert (await client.post("/v1/images/im-abc/names", json={"name": "x:1"})).status_code == 204
        assert (await client.delete("/v1/images/im-abc")).status_code == 204
        pruned = await client.post("/v1/images/prune", json={"unused_s": 60})
        assert pruned.json() == {"deleted": ["d"], "freed_bytes": 60}
    assert (world.images.deleted, world.images.published) == (["im-abc"], [("im-abc", "x:1")])


async def test_logs_are_lines_with_their_filters(world: Any) -> None:
    async with world.client() as client:
        answer = await client.get("/v1/logs?app=ocr&since=10m&tail=5&type=system&type=api&search=x")
        assert len(answer.text.splitlines()) == 1200
        live = await client.get("/v1/logs?follow=true")
        assert json.loads(live.text)["message"] == "live"
        for bad in ("since=yesterday", "type=secret", "tail=-1"):
            assert (await client.get(f"/v1/logs?{bad}")).status_code == 400
    query = world.logs.asked[0]
    assert (query.app, query.tail, query.types, query.search) == ("ocr", 5, ("system", "api"), "x")
    assert query.since is not None


async def test_secrets_go_in_and_do_not_come_out(world: Any) -> None:
    async with world.client() as client:
        put = await client.put("/v1/secrets/s", json={"values": {"KEY": "canary-value"}})
        listed = await client.get("/v1/secrets")
        assert (await client.delete("/v1/secrets/s")).status_code == 204
    assert put.json()["keys"] == ["KEY"]
    assert "canary-value" not in put.text + listed.text


async def test_blobs(world: Any) -> None:
    data = b"x" * 100_000
    digest = hashlib.sha256(data).hexdigest()
    async with world.client() as client:
        assert (await client.post("/v1/blobs/missing", json={"digests": [digest]})).json() == {"digests": [digest]}
        assert (await client.put(f"/v1/blobs/{digest}", content=b"other")).status_code == 400
        assert (await client.put(f"/v1/blobs/{digest}", content=data)).json() == {"sha256": digest, "bytes": 100_000}
        assert (await client.post("/v1/blobs/missing", json={"digests": [digest]})).json() == {"digests": []}
        assert (await client.get(f"/v1/blobs/{digest}")).content == data
        part = await client.get(f"/v1/blobs/{digest}", headers={"range": "bytes=10-19"})
        assert (part.status_code, len(part.content)) == (206, 10)
        assert (await client.get(f"/v1/blobs/{digest}", headers={"range": "bytes=200000-"})).status_code == 416
        for bad in ("x" * 64, digest.upper(), digest + "0", "..%2f..%2fkey"):
            assert (await client.get(f"/v1/blobs/{bad}")).status_code in (400, 404)
        assert (await client.get(f"/v1/blobs/{'0' * 64}")).status_code == 404


async def test_volumes_are_renamed_and_copied_in(world: Any) -> None:
    async with world.client(INSTANCE_TOKEN) as client:
        made = (await client.put("/v1/volumes/data")).json()
        await client.put("/v1/volumes/data/files/a.txt", content=b"a")
        await client.put("/v1/volumes/taken")
        for new, status in (("taken", 409), ("a/b", 400), (made["id"], 400)):
            assert (await client.post("/v1/volumes/data/rename", json={"name": new})).status_code == status
        renamed = (await client.post("/v1/volumes/data/rename", json={"name": "moved"})).json()
        assert (renamed["name"], renamed["id"]) == ("moved", made["id"])
        found = (await client.get(f"/v1/volumes/{made['id']}?count=false")).json()
        assert (found["name"], found["bytes"]) == ("moved", None)
        copy = {"sources": ["a.txt"], "target": "dir/"}
        assert (await client.post("/v1/volumes/moved/copy", json=copy)).status_code == 204
        assert (await client.get("/v1/volumes/moved/files/dir/a.txt")).content == b"a"
        missing = await client.post("/v1/volumes/moved/copy", json={**copy, "sources": ["nope"]})
        assert (missing.status_code, missing.json()["error"]["type"]) == (404, "NoFileError")
        for wrong in ({**copy, "target": "../x"}, {"sources": "a.txt", "target": "b"}, {}):
            assert (await client.post("/v1/volumes/moved/copy", json=wrong)).status_code == 400
        assert (await client.delete("/v1/volumes/moved")).status_code == 204


async def test_secrets_are_updated_and_shown_without_values(world: Any) -> None:
    async with world.client() as client:
        await client.put("/v1/secrets/db", json={"values": {"A": "canary"}})
        changed = await client.patch("/v1/secrets/db", json={"values": {"B": "canary"}})
        shown = await client.get("/v1/secrets/db")
        assert changed.json() == shown.json()
        assert shown.json()["keys"] == ["A", "B"]
        assert "canary" not in changed.text + shown.text
    async with world.client(INSTANCE_TOKEN) as client:
        assert (await client.patch("/v1/secrets/db", json={"values": {"B": "x"}})).status_code == 403
        assert (await client.get("/v1/secrets/db")).status_code == 403


async def test_buckets_are_the_asking_instances(world: Any) -> None:
    async with world.client(INSTANCE_TOKEN) as client:
        for what in ("refresh", "store"):
            assert (await client.post(f"/v1/buckets/{what}")).status_code == 204
    assert world.buckets.asked == [("refresh", "in-1"), ("store", "in-1")]


async def test_volumes_over_http(world: Any) -> None:
    async with world.client() as client:
        assert (await client.put("/v1/volumes/data")).status_code == 201
        assert (await client.put("/v1/volumes/data")).status_code == 409
        assert (await client.put("/v1/volumes/data/files/a/b c.txt", content=b"hello")).json()["path"] == "a/b c.txt"
        assert (await client.put("/v1/volumes/data/files/a/b c.txt?force=false", content=b"no")).status_code == 409
        assert (await client.get("/v1/volumes/data/files/a/b%20c.txt")).content == b"hello"
        assert (await client.get("/v1/volumes/data/files/a/b c.txt", headers={"range": "bytes=-2"})).content == b"lo"
        listed = (await client.get("/v1/volumes/data/list?recursive=true")).json()
        assert [v["path"] for v in listed] == ["a", "a/b c.txt"]
        assert (await client.get("/v1/volumes/data")).json()["bytes"] == 5
        assert (await client.delete("/v1/volumes/data/files/a")).status_code == 409
        assert (await client.delete("/v1/volumes/data/files/a?recursive=true")).status_code == 204
        assert (await client.delete("/v1/volumes/data")).status_code == 204
        assert (await client.get("/v1/volumes/data")).status_code == 404


async def test_shutdown_is_asked_for(world: Any) -> None:
    async with world.client() as client:
        assert (await client.post("/v1/shutdown")).status_code == 202
    assert world.stopped == [True]


async def test_the_document_shows_routes_and_deployed_functions(world: Any) -> None:
    async with world.client() as client:
        document = (await client.get("/openapi.json")).json()
        page = (await client.get("/docs")).text
    shout = document["paths"]["/v1/functions/demo/shout/call"]["post"]
    schema = shout["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["kwargs"]["properties"] == {"text": {"type": "string"}}
    ocr = document["paths"]["/v1/functions/demo/Ocr/predict/call"]["post"]
    assert (
        "lang" in ocr["requestBody"]["content"]["application/json"]["schema"]["properties"]["parameters"]["properties"]
    )
    assert not any("stream" in path for path in document["paths"])
    assert "AppRequest" in document["components"]["schemas"]
    assert document["paths"]["/v1/apps"]["post"]["requestBody"]
    assert "/v1/functions/demo/shout/call" in page
    assert "Shout &lt;loudly&gt;." in page
    assert "<script" not in page


async def test_an_app_is_checked_before_its_files_and_images_are_there(world: Any) -> None:
    spec = AppSpec(name="ocr", functions=(FunctionSpec(name="f", module="m", qualname="f"),))
    async with world.client() as client:
        assert (await client.post("/v1/apps/check", content=msgspec.json.encode(spec))).json() == {"checked": "ocr"}
    assert world.apps.asked == [("check", "main", spec)]


async def test_an_instance_makes_apps_without_functions_and_replaces_none(world: Any) -> None:
    lookup: dict[str, Any] = {"spec": {"name": "own", "functions": []}, "mode": "deploy", "if_missing": True}
    async with world.client(INSTANCE_TOKEN) as client:
        assert (await client.post("/v1/apps", json=lookup)).status_code == 200
        for more in ({"if_missing": False}, {"mode": "ephemeral"}, {"replaces": "ap-1"}):
            assert (await client.post("/v1/apps", json={**lookup, **more})).status_code == 403
