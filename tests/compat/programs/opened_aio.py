"""`.aio` of what one opens, and of what finds by id, as asynchronous programs write them."""

import asyncio
import io

import modal

app = modal.App("compat-opened-aio")


@app.function()
def double(x: int) -> int:
    return 2 * x


async def main() -> None:
    async with app.run.aio() as running:
        call = await double.spawn.aio(4)
        again = await modal.FunctionCall.from_id.aio(call.object_id)
        print(running is app, await again.get.aio())
    async with modal.Dict.ephemeral.aio() as d, modal.Queue.ephemeral.aio() as q, modal.Volume.ephemeral.aio() as v:
        await d.put.aio("key", 1)
        await q.put.aio("item")
        async with v.batch_upload.aio() as batch:
            batch.put_file(io.BytesIO(b"text"), "/file")
        print(await d.get.aio("key"), await q.get.aio(), b"".join([piece async for piece in v.read_file.aio("file")]))
    image = await modal.Image.from_id.aio("im-" + "0" * 24)
    print(type(image).__name__, image.object_id)


if __name__ == "__main__":
    asyncio.run(main())
