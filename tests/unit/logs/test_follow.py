"""A cursor through rotations: no line missed, none twice."""

import random
from pathlib import Path

from freehold.server.logs.follow import Cursor
from freehold.telemetry.files import LogFile, parts


def test_reading_on_through_rotations(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rng = random.Random(1)
    cursor, file, got, written = Cursor(path), LogFile(path, max_bytes=200, keep=50), list[bytes](), 0
    for _ in range(300):
        for _ in range(rng.randrange(4)):
            file.append(b"%d\n" % written)
            written += 1
        if rng.random() < 0.3:
            while lines := cursor.read():
                got += lines
    while lines := cursor.read():
        got += lines
    assert [int(x) for x in got] == list(range(written))
    assert len(parts(path)) > 5
    file.close()
    cursor.close()


def test_from_the_end_only_what_is_new_comes(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    cursor = Cursor(path)
    assert cursor.to_end() is None
    assert cursor.read() == []
    path.write_bytes(b"one\ntwo\nhal")
    late = Cursor(path)
    assert late.to_end() == (path.stat().st_ino, 8)
    assert late.read() == []
    with path.open("ab") as file:
        file.write(b"f\nthree\n")
    assert late.read() == [b"half", b"three"]
    assert cursor.read() == [b"one", b"two", b"half", b"three"]
    cursor.close()
    late.close()


def test_a_cursor_whose_part_was_dropped_goes_on_with_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    file = LogFile(path, max_bytes=10, keep=1)
    file.append(b"first...\n")
    cursor = Cursor(path)
    assert cursor.read() == [b"first..."]
    for i in range(5):
        file.append(b"line %d..\n" % i)
    assert cursor.read() == [b"line 3.."]
    assert cursor.read() == [b"line 4.."]
    file.close()
    cursor.close()
