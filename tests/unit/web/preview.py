"""Show the dashboard over played services: `python -m tests.unit.web.preview [busy|empty|hostile] [port]`.

Sign in at the printed link. A line of log comes every second, an instance changes state every five.
"""

import asyncio
import sys
import time
from dataclasses import replace

import uvicorn
from tests.unit.web.fakes import World, busy, fake_id, hostile, line
from tests.unit.web.serving import TOKEN, dashboard

from freehold.core.states import InstanceState


async def _act(world: World) -> None:
    for n in range(1_000_000):
        await asyncio.sleep(1)
        world.say(
            line(
                f"page {n} of 40 읽음",
                at=time.time(),
                stream="stdout",
                app="ocr-service",
                function="Ocr",
                instance=fake_id("in", 2),
            )
        )
        if n % 5 == 0 and world.instances:
            flip = InstanceState.IDLE if world.instances[2].state is InstanceState.BUSY else InstanceState.BUSY
            world.instances[2] = replace(world.instances[2], state=flip)
            world.events.publish("instance", world.instances[2].id, flip)


async def main(kind: str, port: int) -> None:
    world = {"busy": busy, "hostile": hostile, "empty": World}[kind]()
    app = dashboard(world)
    code = app.state.context.authority.new_code()
    print(f"http://127.0.0.1:{port}/login?code={code}  token: {TOKEN}", flush=True)
    acting = asyncio.create_task(_act(world))
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1)).serve()
    acting.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "busy", int(sys.argv[2]) if len(sys.argv) > 2 else 8799))
