"""One volume seen by several functions: whole, in part, and read-only; and what only they may do with it."""

import os
from pathlib import Path

import modal

app = modal.App("compat-volume-share")
volume = modal.Volume.from_name("compat-share", create_if_missing=True)
other = modal.Volume.from_name("compat-share-other", create_if_missing=True)


@app.function(volumes={"/data": volume})
def write() -> str:
    Path("/data/models").mkdir(exist_ok=True)
    Path("/data/models/weights.bin").write_bytes(b"w" * 1000)
    volume.commit()
    try:
        other.commit()
    except RuntimeError as error:
        print("not mounted:", isinstance(error, modal.exception.Error))
    with Path("/data/models/weights.bin").open("rb"):
        volume.reload()  # with an open file
    return volume.object_id


@app.function(volumes={"/part": volume.with_mount_options(sub_path="models"), "/again": volume.read_only()})
async def read(volume_id: str) -> list[str]:
    print(sorted(os.listdir("/part")), sorted(os.listdir("/again")))
    for place in ("/again/models/x", "/again/x"):
        try:
            Path(place).write_text("x")
        except OSError as error:
            print("read-only:", error.strerror)
    Path("/part/seen.txt").write_text("seen")
    await modal.Volume.from_id(volume_id).commit.aio()
    return [entry.path async for entry in volume.iterdir.aio("/models")]


@app.function()
def by_the_api(volume_id: str) -> int:
    """Without a mount, from inside an instance."""
    one = modal.Volume.from_id(volume_id)
    with one.batch_upload() as batch:
        batch.put_file(__file__, "/program.py")
    with modal.Volume.ephemeral() as scratch:
        with scratch.batch_upload() as batch:
            batch.put_file(__file__, "/program.py")
        size = sum(len(chunk) for chunk in scratch.read_file("program.py"))
    one.remove_file("program.py")
    return size - Path(__file__).stat().st_size


@app.function(volumes={"/new": volume.with_mount_options(sub_path="made/by/mount")})
def made() -> bool:
    return Path("/new").is_dir() and os.listdir("/new") == []


@app.local_entrypoint()
def main() -> None:
    volume_id = write.remote()
    print(read.remote(volume_id), made.remote(), by_the_api.remote(volume_id))
    try:
        volume.commit()
    except RuntimeError:
        print("commit is for functions")
