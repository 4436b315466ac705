import asyncio

import modal


async def main():
    async with modal.Dict.ephemeral() as d:
        await asyncio.gather(*[d.put.aio(n, n * n) for n in range(50)])
        print(
            await d.len.aio(),
            await d.get.aio(7),
            await d.contains.aio(50),
            await d.pop.aio(3),
            await d.pop.aio(3, "gone"),
        )
        print(sorted([key async for key in d.keys.aio()]) == [n for n in range(50) if n != 3])
        await d.update.aio({"x": 1}, y=2)
        print({k: v async for k, v in d.items.aio() if isinstance(k, str)}, sum([1 async for _ in d.values.aio()]))
        ref = d.object_id
    try:
        await modal.Dict.from_id(ref).get.aio("x")
    except modal.exception.NotFoundError as error:
        print("gone", "ephemeral" in str(error))
    await modal.Dict.objects.create.aio("compat-async")
    print([d.name for d in await modal.Dict.objects.list.aio() if d.name == "compat-async"])
    await modal.Dict.objects.delete.aio("compat-async")


asyncio.run(main())
