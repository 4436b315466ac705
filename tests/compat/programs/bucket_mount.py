"""A bucket of an object store, mounted: whole, in part, and read-only."""

import os
from pathlib import Path

import freehold as modal

app = modal.App("compat-bucket")
endpoint = os.environ.get("BUCKET_ENDPOINT")
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


@app.function(volumes={"/data": bucket(key_prefix="out/")})
async def grow(n: int) -> int:
    Path(f"/data/{n}.txt").write_text(str(n))
    return len(list(Path("/data").glob("*.txt")))


@app.function(volumes={"/data": bucket(key_prefix="out/")})
def breaks() -> None:
    Path("/data/before.txt").write_text("before")
    raise ValueError("on purpose")


@app.local_entrypoint()
def main() -> None:
    both.remote()
    print("grown:", max(grow.map(range(3))))
    try:
        breaks.remote()
    except ValueError as error:
        print("raised:", error)


@app.function(volumes={"/data": bucket(key_prefix="in/", read_only=True)})
def names() -> list[str]:
    return sorted(p.name for p in Path("/data").iterdir())


@app.local_entrypoint()
def watch() -> None:
    """A warm instance sees what others put into the bucket."""
    print(names.remote())
    print(names.remote(), input(), names.remote())


@app.function(
    volumes={
        "/data": modal.CloudBucketMount(os.environ.get("BUCKET", "x"), bucket_endpoint_url=endpoint, secret=secret)
    }
)
def look() -> list[str]:
    return os.listdir("/data")
