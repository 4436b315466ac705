"""The routes of sandboxes: what they ask of the service, and the streams."""

from tests.unit.api.conftest import INSTANCE_TOKEN, World

from freehold.server.store.rows import SandboxFilter


async def test_a_sandbox_is_made_from_its_spec(world: World) -> None:
    body = {"app": "demo", "spec": {"command": ["echo", "hi"], "cidrs": ["10.0.0.0/8"], "resources": {"gpu": ["T4"]}}}
    async with world.client(INSTANCE_TOKEN) as client:  # instances make sandboxes too
        done = await client.post("/v1/sandboxes", json=body)
    assert (done.status_code, done.json()["id"]) == (201, "sb-1")
    (_, workspace, request) = world.sandboxes.asked[0]
    assert (workspace, request.app, request.spec.command, request.spec.cidrs) == (
        "main",
        "demo",
        ("echo", "hi"),
        ("10.0.0.0/8",),
    )


async def test_a_spec_with_a_wrong_field_is_refused(world: World) -> None:
    async with world.client() as client:
        done = await client.post("/v1/sandboxes", json={"app": "demo", "spec": {"command": "echo hi"}})
    assert done.status_code == 400
    assert "spec.command" in done.json()["error"]["message"]


async def test_listing_takes_tags_and_filters(world: World) -> None:
    async with world.client() as client:
        await client.get(
            "/v1/sandboxes", params={"app": "demo", "tag": ["a=1", "b=x=y"], "live_only": "false", "limit": 5}
        )
        wrong = await client.get("/v1/sandboxes", params={"tag": "nothing"})
    assert world.sandboxes.asked == [
        ("list", "main", SandboxFilter(app="demo", live_only=False, limit=5), {"a": "1", "b": "x=y"})
    ]
    assert (wrong.status_code, "KEY=VALUE" in wrong.text) == (400, True)


async def test_an_unknown_sandbox_is_not_found(world: World) -> None:
    async with world.client() as client:
        assert (await client.get("/v1/sandboxes/sb-2")).status_code == 404


async def test_waiting_has_a_bound(world: World) -> None:
    async with world.client() as client:
        assert (await client.get("/v1/sandboxes/sb-1/wait", params={"timeout_s": 2})).json()["returncode"] == 3
        assert (await client.get("/v1/sandboxes/sb-1/wait", params={"timeout_s": 100_000})).status_code == 400
        assert (await client.get("/v1/sandboxes/sb-1/commands/pr-1", params={"timeout_s": 1})).json()["returncode"] == 0


async def test_output_is_streamed_from_an_offset_to_its_end(world: World) -> None:
    async with world.client() as client:
        whole = await client.get("/v1/sandboxes/sb-1/commands/main/stdout")
        rest = await client.get("/v1/sandboxes/sb-1/commands/main/stderr", params={"offset": 3})
        none = await client.get("/v1/sandboxes/sb-1/commands/main/other")
    assert (whole.content, rest.content) == (b"hello\n", b"lo\n")
    assert none.status_code == 400
    assert ("command", "sb-1", "main") in world.sandboxes.asked


async def test_input_is_written_and_ended(world: World) -> None:
    async with world.client() as client:
        await client.post("/v1/sandboxes/sb-1/commands/pr-1/stdin", content=b"one")
        done = await client.post("/v1/sandboxes/sb-1/commands/pr-1/stdin", params={"eof": "true"}, content=b"two")
    assert done.status_code == 204
    assert [w for w in world.sandboxes.stream.written if w != b""] == [b"one", b"two", None]


async def test_signals_and_sizes_reach_the_command(world: World) -> None:
    async with world.client() as client:
        await client.post("/v1/sandboxes/sb-1/commands/pr-1/signal", json={"number": 2})
        await client.post("/v1/sandboxes/sb-1/commands/pr-1/size", json={"rows": 40, "columns": 120})
    assert world.sandboxes.asked == [("signal", "pr-1", 2), ("resize", "pr-1", (40, 120))]


async def test_commands_in_instances_are_the_owners_alone(world: World) -> None:
    async with world.client() as client:
        done = await client.post("/v1/instances/in-1/commands", json={"argv": ["ls"], "attached": True})
        shown = await client.get("/v1/instances/in-1/commands/pr-1/stdout")
        await client.post("/v1/instances/in-1/commands/pr-1/size", json={"rows": 40, "columns": 120})
    assert (done.status_code, done.json()["id"], shown.content) == (201, "pr-1", b"hello\n")
    (what, instance, request), read, size = world.instance_commands.asked
    assert (what, instance, request.argv, request.attached) == ("run", "in-1", ("ls",), True)
    assert (read, size) == (("command", "in-1", "pr-1"), ("resize", "pr-1", (40, 120)))
    async with world.client(INSTANCE_TOKEN) as client:
        assert (await client.post("/v1/instances/in-1/commands", json={"argv": ["ls"]})).status_code == 403
    assert (world.sandboxes.asked, len(world.instance_commands.asked)) == ([], 3)
