"""An image built on its own, found again by its id, and built upon."""

import modal

app = modal.App("image-build")
image = modal.Image.debian_slim().run_commands("echo first > /root/first")


@app.function(serialized=True)
def nothing() -> None: ...


def main():
    assert image.object_id is None
    with modal.enable_output() if hasattr(modal, "enable_output") else app.run():
        image.build(app)
    again = modal.Image.from_id(image.object_id).run_commands("cat /root/first > /root/second")
    other = modal.App("image-build-other")

    @other.function(image=again, serialized=True)
    def read() -> str:
        return open("/root/second").read().strip()

    with other.run():
        print(read.remote(), image.object_id.startswith("im-"))


if __name__ == "__main__":
    main()
