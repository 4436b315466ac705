"""`Sandbox.open` and its like, which Modal has given up."""

import asyncio

import modal

app = modal.App.lookup("compat-sandbox-open", create_if_missing=True)


async def later(sb: modal.Sandbox) -> None:
    async with await sb.open.aio("/work/deep/later.txt", "w") as file:
        await file.write.aio("later")
    file = await sb.open.aio("/work/deep/later.txt")
    print("ASYNC", await file.read.aio())


def main() -> None:
    sb = modal.Sandbox.create(app=app, timeout=60)
    with sb.open("/work/one.txt", "w") as file:
        file.write("first\nsecond\n")
        file.flush()
        print("WRITTEN", sb.exec("cat", "/work/one.txt").stdout.read().split())
        file.write("third")
    with sb.open("/work/one.txt", "a") as file:
        file.write("\nlast\n")
    with sb.open("/work/one.txt", "r+") as file:
        print("READ", repr(file.readline()), file.read(3), file.readlines()[1:])
        file.seek(0)
        file.write("FIRST")
    print("BYTES", sb.open("/work/one.txt", "rb").read(6), [len(line) for line in sb.open("/work/one.txt")])
    sb.open("/work/empty", "x").close()
    sb.mkdir("/work/deep/er", parents=True)
    sb.rm("/work/deep/er")
    asyncio.run(later(sb))
    print("LEFT", sorted(sb.ls("/work")))
    for path, mode in (("/work/none", "r"), ("/work/empty", "x"), ("/work/empty", "rw")):
        try:
            sb.open(path, mode)
        except modal.Error as error:
            print(type(error).__name__, error)
    file = sb.open("/work/one.txt")
    for wrong in (
        lambda: file.write("x"),
        lambda: sb.open("/work/one.txt", "wb").write("text"),
        lambda: (file.close(), file.read()),
    ):
        try:
            wrong()
        except modal.exception.InvalidError as error:
            print("WRONG", error)
    sb.terminate()


if __name__ == "__main__":
    main()
