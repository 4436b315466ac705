"""A bucket of an object store, mounted: whole, in part, and read-only."""

import os
import time
from pathlib import Path

import modal

app = modal.App("compat-bucket")
endpoint = os.environ.get("BUCKET_ENDPOINT", "http://127.0.0.1:9")
secret = modal.Secret.from_local_environ(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])


def bucket(**options) -> modal.CloudBucketMount:
    return modal.CloudBucketMount("compat", bucket_endpoint_url=endpoint, secret=secret, **options)


@app.function(volumes={"/whole": bucket(), "/part": bucket(key_prefix="in/", read_only=True)})
def both() -> None:
    assert sorted(os.listdir("/whole")) == ["in", "top.txt"], os.listdir("/whole")
    assert Path("/whole/top.txt").read_text() == "top"
    assert [p.name for p in Path("/part").rglob("*.txt")] == ["한글 파일.txt"]
    try:
        Path("/part/new.txt").write_text("x")
    except OSError as error:
        print("read-only:", error.strerror)
    Path("/whole/out/deep").mkdir(parents=True)
    Path("/whole/out/deep/result.txt").write_text("written")
    Path("/whole/top.txt").unlink()
    Path("/whole/way-out").symlink_to("/etc/passwd")
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ  # the mount's, not the function's


@app.function(volumes={"/data": bucket(key_prefix="out/")})
async def grow(n: int) -> None:
    Path(f"/data/{n}.txt").write_text(str(n))


@app.function(volumes={"/data": bucket(key_prefix="out/")})
def grown():
    Path("/data/seen.txt").write_text(" ".join(sorted(p.stem for p in Path("/data").glob("?.txt"))))
    yield from os.listdir("/data")


@app.function(volumes={"/data": bucket(key_prefix="out/")})
def breaks() -> None:
    Path("/data/before.txt").write_text("before")
    raise ValueError("on purpose")


@app.local_entrypoint()
def main() -> None:
    both.remote()
    list(grow.map(range(3)))
    print("grown:", len(list(grown.remote_gen())))
    try:
        breaks.remote()
    except ValueError as error:
        print("raised:", error)


@app.function(volumes={"/data": bucket(key_prefix="in/", read_only=True)})
def names() -> list[str]:
    return sorted(p.name for p in Path("/data").iterdir())


@app.local_entrypoint()
def watch() -> None:
    """A warm instance sees what others put into the bucket, within a few seconds."""
    before = names.remote()
    print(before, flush=True)
    while (after := names.remote()) == before:
        time.sleep(0.5)
    while (later := names.remote()) != after:
        after = later
    print(after)


@app.function(volumes={"/data": bucket(key_prefix="out/")})
def dies() -> None:
    Path("/data/last-words.txt").write_text("last words")
    os._exit(3)


@app.function(
    volumes={
        "/data": modal.CloudBucketMount(os.environ.get("BUCKET", "x"), bucket_endpoint_url=endpoint, secret=secret)
    }
)
def look() -> list[str]:
    return os.listdir("/data")
