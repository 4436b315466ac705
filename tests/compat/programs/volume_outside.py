"""A volume from outside of any function."""

import asyncio
import io
from pathlib import Path

import modal
from modal.volume import FileEntryType

app = modal.App("compat-volume-outside")


@app.local_entrypoint()
def main(folder: str) -> None:
    modal.Volume.objects.create("compat-outside", allow_existing=True)
    volume = modal.Volume.from_name("compat-outside")
    with volume.batch_upload() as batch:
        batch.put_directory(folder, "/in")
        batch.put_file(io.BytesIO(b"from memory"), "/in/größe 한글.txt")
    for entry in volume.listdir("/", recursive=True):
        print(entry.path, entry.type.name, entry.size if entry.type == FileEntryType.FILE else "-")
    try:
        with volume.batch_upload() as batch:
            batch.put_file(io.BytesIO(b"again"), "/in/größe 한글.txt")
            batch.put_file(io.BytesIO(b"new"), "/new.txt")
    except FileExistsError:
        print("there already:", [e.path for e in volume.listdir("/")])
    with volume.batch_upload(force=True) as batch:
        batch.put_file(io.BytesIO(b"again"), "/in/größe 한글.txt")
    print(b"".join(volume.read_file("in/größe 한글.txt")).decode())
    for missing in (lambda: list(volume.read_file("nope")), lambda: volume.remove_file("nope")):
        try:
            missing()
        except FileNotFoundError as error:
            print("missing:", isinstance(error, modal.exception.NotFoundError))
    volume.copy_files(["in"], "copy", recursive=True)
    volume.copy_files(["in/a.txt", "in/deep/b.txt"], "flat/")
    print(sorted(e.path for e in volume.iterdir("/") if e.type == FileEntryType.FILE))
    asyncio.run(later(volume))
    modal.Volume.objects.delete("compat-outside-2")
    try:
        modal.Volume.from_name("compat-outside-2").hydrate()
    except modal.exception.NotFoundError as error:
        print("gone:", str(error).partition(";")[0])


async def later(volume: modal.Volume) -> None:
    before = volume.object_id
    await modal.Volume.rename.aio("compat-outside", "compat-outside-2")
    same = await modal.Volume.from_id(before).hydrate.aio()
    print(same.name, (await same.info.aio()).created_at.year > 2000)
    await same.remove_file.aio("in", recursive=True)
    async with modal.Volume.ephemeral() as scratch:
        async with scratch.batch_upload() as batch:
            batch.put_file(Path(__file__), "x.py", mode=0o755)
        into = io.BytesIO()
        print(await scratch.read_file_into_fileobj.aio("x.py", into) == Path(__file__).stat().st_size)
        name = scratch.name
    print([v.name for v in await modal.Volume.objects.list.aio() if v.name in (name, "compat-outside-2")])
