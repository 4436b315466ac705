"""Clients' tars are laid out beneath their folder, and nothing else is."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from freehold.core.errors import DataLossError, InvalidError
from freehold.core.home import Home
from freehold.server.services.blobs import Blobs
from freehold.server.services.prepare import Preparer, _unpack


def tar_of(path: Path, *members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname, info.mode = len(content), kind, link, 0o755
            archive.addfile(info, io.BytesIO(content))
    return path


def test_files_are_laid_out(tmp_path: Path) -> None:
    root = _unpack(
        tar_of(tmp_path / "tar", ("a.py", b"x = 1"), ("deep/er/b.bin", bytes(1000))), tmp_path / "out" / "digest"
    )
    assert (root / "a.py").read_bytes() == b"x = 1"
    assert (root / "a.py").stat().st_mode & 0o777 == 0o755
    assert (root / "deep/er/b.bin").stat().st_size == 1000


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataLossError, match="not a plain file"):
        _unpack(tar_of(tmp_path / "tar", (name, b"x")), tmp_path / "out" / "digest")
    assert not (tmp_path / "out" / "digest").exists()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(DataLossError):
        _unpack(tar_of(tmp_path / "tar", ("a", b""), kind=kind, link="/etc/passwd"), tmp_path / "out" / "digest")


def test_a_broken_tar_is_told(tmp_path: Path) -> None:
    (tmp_path / "tar").write_bytes(b"x" * 2000)
    with pytest.raises(DataLossError, match="cannot be unpacked"):
        _unpack(tmp_path / "tar", tmp_path / "out" / "digest")


@pytest.mark.parametrize("digest", ["..", "../blobs", "", ".", "/etc", "../../../../../../etc"])
async def test_only_digests_name_unpacked_files(tmp_path: Path, digest: str) -> None:
    none: Any = None
    home = Home(tmp_path)
    home.mounts.mkdir()
    preparer = Preparer(
        home=home,
        images=none,
        blobs=Blobs(home.blobs),
        volumes=none,
        buckets=none,
        secrets=none,
        registry=none,
        lease_s=1.0,
    )
    with pytest.raises(InvalidError, match="no digest"):
        await preparer.unpacked(digest)
