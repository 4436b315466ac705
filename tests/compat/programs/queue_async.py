import asyncio

import modal


async def main():
    async with modal.Queue.ephemeral() as q:
        getters = [asyncio.create_task(q.get.aio(timeout=20)) for _ in range(50)]
        await asyncio.sleep(0.1)
        await asyncio.gather(*[q.put.aio(n) for n in range(50)])
        print(sorted(await asyncio.gather(*getters)) == list(range(50)), await q.len.aio())

        async def produce():
            for n in range(3):
                await asyncio.sleep(0.05)
                await q.put.aio(n)

        task = asyncio.create_task(produce())
        print([item async for item in q.iterate.aio(item_poll_timeout=1.0)], await q.get_many.aio(5))
        await task


asyncio.run(main())
