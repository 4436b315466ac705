"""An image built on its own, found again by its id and its name, and built upon."""

import modal

image = modal.Image.debian_slim().run_commands("echo first > /root/first")


def main() -> None:
    assert image.object_id is None
    image.build()
    image.publish("image-build:v1")
    for again in (modal.Image.from_id(image.object_id), modal.Image.from_name("image-build:v1")):
        other = modal.App()

        @other.function(image=again, serialized=True)
        def read() -> str:
            return open("/root/first").read().strip()

        with other.run():
            print(read.remote())
    print(image.object_id)


if __name__ == "__main__":
    main()
