"""The same with await, many at once."""

import asyncio

import modal


async def one(sb: modal.Sandbox, number: int) -> str:
    p = await sb.exec.aio("sh", "-c", f"read x; echo {number} $x; sleep 0.3; echo end")
    waiting = asyncio.create_task(p.wait.aio())
    errors = asyncio.create_task(p.stderr.read.aio())
    await asyncio.sleep(0.1)
    p.stdin.write(f"in{number}\n")
    p.stdin.write_eof()
    await p.stdin.drain.aio()
    lines = [line.strip() async for line in p.stdout]
    return f"{lines} {await waiting} {await errors!r}"


async def main() -> None:
    app = await modal.App.lookup.aio("compat-sandbox-async", create_if_missing=True)
    sb = await modal.Sandbox.create.aio(app=app)
    found = await asyncio.gather(*(one(sb, n) for n in range(24)))
    assert found == [f"{[f'{n} in{n}', 'end']} 0 ''" for n in range(24)], found
    print("ALL", len(found))
    slow = await sb.exec.aio("sh", "-c", "sleep 0.5; echo late")
    try:
        await asyncio.wait_for(slow.stdout.__anext__(), 0.1)
    except asyncio.TimeoutError:
        print("KEPT", repr(await slow.stdout.read.aio()))
    await sb.filesystem.write_text.aio("hi", "/a/b.txt")
    print("FILE", await sb.filesystem.read_text.aio("/a/b.txt"))
    print("LISTED", [s.object_id == sb.object_id async for s in modal.Sandbox.list.aio(app_id=app.app_id)])
    print("END", await sb.terminate.aio(wait=True))


asyncio.run(main())
