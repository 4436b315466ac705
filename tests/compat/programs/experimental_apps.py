"""What `modal.experimental` says of deployed apps, and does to them."""

import asyncio

import modal
import modal.experimental

app = modal.App("compat-experimental-apps")


@app.function()
def double(x: int) -> int:
    return 2 * x


@app.cls()
class Adder:
    base: int = modal.parameter(default=1)

    @modal.method()
    def add(self, x: int) -> int:
        return self.base + x


async def main() -> None:
    await app.deploy.aio()
    [own] = [one for one in await modal.experimental.list_deployed_apps.aio() if one.name == app.name]
    print(own.app_id == app.app_id, own.containers >= 0)
    objects = modal.experimental.get_app_objects(app.name)
    print({name: type(one).__name__ for name, one in sorted(objects.items())})
    print(objects["double"].remote(4), objects["Adder"](base=5).add.remote(1))
    await modal.experimental.stop_app.aio(app.name)
    print([one for one in modal.experimental.list_deployed_apps() if one.name == app.name])
    image = modal.Image.debian_slim().env({"ONLY": "here"}).build(app)
    modal.experimental.image_delete(image.object_id)
    try:
        modal.experimental.image_delete(image.object_id)
    except modal.exception.NotFoundError as error:
        print(type(error).__name__)


if __name__ == "__main__":
    asyncio.run(main())
