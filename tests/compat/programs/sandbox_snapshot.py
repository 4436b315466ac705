"""A snapshot of a sandbox's files is an image: of another sandbox, and of a function."""

import modal

app = modal.App("compat-sandbox-snapshot")


def main() -> None:
    sb = modal.Sandbox.create(app=app)
    sb.filesystem.write_text("kept", "/data/kept.txt")
    program = "import site, pathlib; pathlib.Path(site.getsitepackages()[0], 'made_inside.py').write_text('VALUE = 42')"
    assert sb.exec("python", "-c", program).wait() == 0
    assert (
        sb.exec("sh", "-c", "echo tool > /usr/bin/tool; rm /etc/debconf.conf /usr/bin/perl; rm -rf /root/.cache").wait()
        == 0
    )
    image = sb.snapshot_filesystem()
    sb.filesystem.write_text("later", "/data/later.txt")
    sb.terminate()

    assert image.object_id is not None
    second = modal.Sandbox.create(app=app, image=modal.Image.from_id(image.object_id))
    print("FILE", second.filesystem.read_text("/data/kept.txt"), second.exec("ls", "/data").stdout.read().split())
    print("MODULE", second.exec("python", "-c", "import made_inside; print(made_inside.VALUE)").stdout.read().strip())
    print(
        "SYSTEM",
        second.exec("cat", "/usr/bin/tool").stdout.read().strip(),
        second.exec("ls", "/usr/bin/perl").wait() != 0,
    )
    second.filesystem.write_text("second", "/data/second.txt")
    second.exec("rm", "/data/kept.txt").wait()
    third = modal.Sandbox.create(app=app, image=second.snapshot_filesystem())
    print(
        "THIRD",
        third.exec("ls", "/data").stdout.read().split(),
        third.exec("cat", "/usr/bin/tool").stdout.read().strip(),
    )
    second.terminate()
    third.terminate()

    other = modal.App("compat-sandbox-snapshot-function")

    @other.function(image=image, serialized=True)
    def look() -> tuple[str, int, str, bool]:
        import os

        import made_inside

        with open("/data/kept.txt") as file, open("/usr/bin/tool") as tool:
            return file.read(), made_inside.VALUE, tool.read(), os.path.exists("/usr/bin/perl")

    with other.run():
        print("FUNCTION", look.remote())


if __name__ == "__main__":
    with app.run():
        main()
