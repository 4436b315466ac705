"""Log files: names, rotation, torn ends, and how far an instance was collected."""

import os
from pathlib import Path

import pytest

from freehold.server.logs.files import collected, log_path, mend
from freehold.telemetry.files import LogFile, parts


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", ".", "", "a/b", "\0", "x" * 500, "한글", ".hidden"])
def test_no_app_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    path = log_path(tmp_path, "training", name)
    assert path.parent == tmp_path / "training"
    assert path.name.endswith(".jsonl")
    assert not path.name.startswith(".jsonl")
    path.parent.mkdir()
    path.touch()


def test_rotation_keeps_the_newest_parts(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a" / "x.jsonl", max_bytes=100, keep=2)
    for i in range(40):
        file.append(b"%02d" % i + b"." * 27 + b"\n")
    file.close()
    found = parts(tmp_path / "a" / "x.jsonl")
    assert [p.name for p in found] == ["x.jsonl.2", "x.jsonl.1", "x.jsonl"]
    assert b"".join(p.read_bytes() for p in found).count(b"\n") == 7
    assert found[-1].read_bytes().startswith(b"39")


def test_a_log_that_was_left_open_is_appended_to(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        file = LogFile(tmp_path / "x.jsonl", max_bytes=100, keep=2)
        file.append(text)
        file.close()
    assert (tmp_path / "x.jsonl").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "x.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LogFile(tmp_path / "x.jsonl", max_bytes=1000, keep=2)
    file.append(b"whole\n")
    write = os.write

    def half(fd: int, data: bytes) -> int:
        if data == b"lf line\n":
            raise OSError(28, "No space left on device")
        return write(fd, data[:2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        file.append(b"half line\n")
    assert (tmp_path / "x.jsonl").read_bytes() == b"whole\n"
    monkeypatch.undo()
    file.append(b"again\n")
    assert (tmp_path / "x.jsonl").read_bytes() == b"whole\nagain\n"
    file.close()


@pytest.mark.parametrize(
    ("content", "left"),
    [(b"", b""), (b"a\n", b"a\n"), (b"a\nb", b"a\n"), (b"torn", b""), (b"a\n" + b"x" * 3_000_000, b"a\n")],
)
def test_a_torn_last_line_is_cut_off(tmp_path: Path, content: bytes, left: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    mend(tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_bytes() == left
    mend(tmp_path / "not there")


def test_how_far_each_instance_was_collected(tmp_path: Path) -> None:
    def line(instance: str, seq: int) -> bytes:
        return b'{"message":"m","instance":"%b","stream":"stdout","seq":%d}\n' % (instance.encode(), seq)

    path = tmp_path / "x.jsonl"
    (tmp_path / "x.jsonl.1").write_bytes(line("in-1", 10) + line("in-2", 5))
    path.write_bytes(line("in-1", 20) + line("in-3", 7))
    assert collected(path, None, 0) == {"in-1": 20, "in-2": 5, "in-3": 7}
    assert collected(path, path.stat().st_ino, len(line("in-1", 20))) == {"in-3": 7}
    old = tmp_path / "x.jsonl.1"
    assert collected(path, old.stat().st_ino, len(line("in-1", 10))) == {"in-1": 20, "in-2": 5, "in-3": 7}
    assert collected(tmp_path / "none.jsonl", None, 0) == {}
