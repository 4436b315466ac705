"""SQLite under kills and a failing disk: nothing acknowledged is lost, errors reach their writers, service resumes."""

import asyncio
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from freehold.core import errors
from freehold.core.ids import new_id
from freehold.server.store import sqlite
from freehold.server.store.reads import Reads
from freehold.server.store.rows import CallFilter, WorkspaceRow
from freehold.server.store.sqlite import SqliteStore
from freehold.server.store.writes import put_workspaces

PROGRAM = Path(__file__).with_name("writer_program.py")
_WRITE, _SYNC = "pwrite64", "fdatasync"


def _command(database: Path, *, writers: int = 8, calls: int = 40, pause_s: float = 0.0) -> list[str]:
    return [sys.executable, str(PROGRAM), str(database), str(writers), str(calls), str(pause_s)]


def _strace_works() -> bool:
    if (strace := shutil.which("strace")) is None:
        return False
    return subprocess.run([strace, "-f", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode == 0


needs_strace = pytest.mark.skipif(not _strace_works(), reason="no working strace here (Debian: apt-get install strace)")


def _under_strace(
    database: Path, *injections: str, writers: int = 8, calls: int = 40, pause_s: float = 0.0
) -> list[str]:
    inject = [a for i in injections for a in ("-e", f"inject={i}")]
    command = ["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={_WRITE},{_SYNC},fsync", *inject]
    command += _command(database, writers=writers, calls=calls, pause_s=pause_s)
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout.splitlines()


async def _check(database: Path, lines: Sequence[str]) -> int:
    """Reopen as a server would; return how many acknowledged calls there were, all of them found."""
    acknowledged = [line.split()[1] for line in lines if line.startswith("ok ")]
    store = SqliteStore(database)
    await store.open()
    reads = Reads(store)
    found = {c.id for c in await reads.calls("main", CallFilter(limit=10_000))}
    lost = [c for c in acknowledged if c not in found]
    for call in found:
        stored = await reads.input(call, 0)
        assert stored is not None, f"{call} was written in half"
        assert stored.result == call.encode()
    await store.close()
    assert not lost
    return len(acknowledged)


def _killed_after(seconds: float, database: Path) -> list[str]:
    with subprocess.Popen(_command(database, writers=20, calls=10_000), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it is open
        time.sleep(seconds)
        child.kill()
        return child.stdout.read().splitlines()


async def test_kill_9_at_random_points_loses_nothing_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(7)
    total = 0
    for i in range(8):
        database = tmp_path / f"{i % 2}" / "freehold.db"  # each is killed, and recovered, again and again
        lines = await asyncio.to_thread(_killed_after, rng.uniform(0.0, 0.25), database)
        total += await _check(database, lines)
    assert total > 1000


@needs_strace
async def test_killed_at_the_nth_write_of_the_disk(tmp_path: Path) -> None:
    rng = random.Random(11)
    points = [f"{_WRITE}:signal=KILL:when={rng.randrange(30, 400)}" for _ in range(5)]
    points += [f"{_SYNC}:signal=KILL:when={rng.randrange(1, 20)}" for _ in range(3)]
    lines = await asyncio.gather(
        *[asyncio.to_thread(_under_strace, tmp_path / f"{i}" / "freehold.db", p) for i, p in enumerate(points)]
    )
    for i, printed in enumerate(lines):
        assert "closed" not in printed, f"{points[i]} was never reached"
        await _check(tmp_path / f"{i}" / "freehold.db", printed)


@needs_strace
async def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    database = tmp_path / "freehold.db"
    printed = await asyncio.to_thread(_under_strace, database, f"{_WRITE}:error=ENOSPC:when=150..200", pause_s=0.002)
    told = [line for line in printed if line.startswith("error")]
    assert told
    assert all(line.startswith("error ResourceExhaustedError: the disk that holds") for line in told)
    assert [line.split()[0] for line in printed[-3:]] == ["ok", "written", "closed"], "it never recovered"
    assert await _check(database, printed) + len(told) == 320


@needs_strace
@pytest.mark.parametrize("fault", [f"{_SYNC}:error=EIO:when=12..15", f"{_WRITE}:error=EIO:when=150..160"])
async def test_a_failing_disk_acknowledges_nothing_and_recovers(tmp_path: Path, fault: str) -> None:
    database = tmp_path / "freehold.db"
    printed = await asyncio.to_thread(_under_strace, database, fault, pause_s=0.002)
    told = [line for line in printed if line.startswith("error")]
    assert told
    assert all(line.startswith("error DataLossError:") for line in told)
    assert printed[-1] == "closed"
    assert await _check(database, printed) + len(told) == 320


async def test_the_log_is_written_out_ahead_of_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_CHECKPOINT_BYTES", 3 * 1024 * 1024)
    store = SqliteStore(tmp_path / "freehold.db")
    await store.open()
    log, written = tmp_path / "freehold.db-wal", 0
    assert log.stat().st_size < 1024 * 1024, "a start waits for it"
    while log.stat().st_size < 3 * 1024 * 1024:  # far more than so few rows take; a step whenever nobody waits
        await store.write(put_workspaces([WorkspaceRow(new_id("ws"), 0.0)]))
        await asyncio.sleep(0.002)  # nobody waits: on a quick disk the next write is there before the writer looks
        written += 1
        assert written < 300
    shutil.copytree(tmp_path, tmp_path / "killed")
    await store.close()
    assert not log.exists()
    again = SqliteStore(tmp_path / "killed" / "freehold.db")
    await again.open()
    assert len(await again.read("workspaces", {})) == 1 + written
    await again.close()


# ---- what is found at open


async def _with_calls(database: Path) -> list[str]:
    done = await asyncio.to_thread(
        subprocess.run, _command(database, calls=20), check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.splitlines()


def _killed_with_log(database: Path) -> None:
    """Leave a write-ahead log behind that was not folded in."""
    with subprocess.Popen(_command(database, calls=100, pause_s=0.001), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(200):
            child.stdout.readline()
        child.kill()


async def test_a_disk_that_fills_up_is_noticed_while_results_still_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path / "freehold.db")
    await store.open()
    store.look()
    assert store.fault is None
    monkeypatch.setattr(sqlite, "LEAST_FREE_BYTES", 1 << 60)
    store.look()
    assert "is full but for" in str(store.fault)
    await store.write(put_workspaces([WorkspaceRow("w", 0.0)]))  # what runs is recorded
    monkeypatch.undo()
    store.look()
    assert store.fault is None
    await store.close()


async def test_a_lost_log_is_found_at_open(tmp_path: Path) -> None:
    database = tmp_path / "freehold.db"
    await _with_calls(database)
    await asyncio.to_thread(_killed_with_log, database)
    log = tmp_path / "freehold.db-wal"
    assert log.stat().st_size > 4096
    with log.open("r+b") as file:
        file.truncate(4 * 4096)  # its first pages: behind the last there are zeros
    with pytest.raises(errors.DataLossError, match=r"lost its last \d+ commits.*restore a backup, or delete .*\.mark"):
        await SqliteStore(database).open()
    (tmp_path / "freehold.db.mark").unlink()
    await _check(database, [])


async def test_a_missing_or_exchanged_database_is_found_at_open(tmp_path: Path) -> None:
    database = tmp_path / "freehold.db"
    await _with_calls(database)
    database.unlink()
    with pytest.raises(errors.DataLossError, match="is gone, and held"):
        await SqliteStore(database).open()
    await _with_calls(tmp_path / "other" / "freehold.db")
    shutil.copy(tmp_path / "other" / "freehold.db", database)
    with pytest.raises(errors.DataLossError, match="is another one"):
        await SqliteStore(database).open()


@pytest.mark.parametrize("part", [0.0, 0.5, 0.75])
async def test_damaged_pages_are_found_at_open(tmp_path: Path, part: float) -> None:
    database = tmp_path / "freehold.db"
    await _with_calls(database)
    with database.open("r+b") as file:
        file.seek(int(part * database.stat().st_size))
        file.write(random.Random(3).randbytes(6000))
    with pytest.raises(errors.DataLossError, match=r"damaged; restore a backup|not Freehold's"):
        await SqliteStore(database).open()


async def test_a_flipped_bit_in_a_key_is_found_at_open(tmp_path: Path) -> None:
    """Its row is out of order then: looked for, it is not found."""
    database = tmp_path / "freehold.db"
    store = SqliteStore(database)
    await store.open()
    for number in range(20):
        await store.write(put_workspaces([WorkspaceRow(f"workspace-{number:02}", 0.0)]))
    await store.close()
    damaged = bytearray(database.read_bytes())
    assert damaged.count(b"workspace-07") >= 1
    damaged[damaged.index(b"workspace-07")] ^= 0x10  # "g", far before "w"
    database.write_bytes(damaged)
    with pytest.raises(errors.DataLossError, match="is damaged; restore a backup"):
        await SqliteStore(database).open()


async def test_a_flipped_bit_in_a_payload_is_found_when_read(tmp_path: Path) -> None:
    database = tmp_path / "freehold.db"
    lines = await _with_calls(database)
    call = lines[1].split()[1]
    data = database.read_bytes()
    needle = call.encode()
    spots = [i for i in range(len(data)) if data.startswith(needle, i)]
    for spot in spots:  # its key in two tables and indexes, and the payload: only that one is checked
        copy = tmp_path / f"{spot}" / "freehold.db"
        copy.parent.mkdir()
        copy.write_bytes(data[:spot] + bytes([data[spot] ^ 1]) + data[spot + 1 :])
    found = [await _opens(tmp_path / f"{spot}" / "freehold.db", call) for spot in spots]
    assert "damaged" in found


async def _opens(database: Path, call: str) -> str:
    store = SqliteStore(database)
    try:
        await store.open()
        await Reads(store).input(call, 0)
    except errors.DataLossError:
        return "damaged"
    finally:
        await store.close()
    return "read"


async def test_a_file_that_is_no_database_and_one_of_another_program(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("hello, I am a text file, and longer than a header of one hundred bytes" * 4)
    with pytest.raises(errors.DataLossError, match="is damaged; restore a backup: file is not a database"):
        await SqliteStore(tmp_path / "a.db").open()


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    asyncio.run(_with_calls(tmp_path / "freehold.db"))
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in tmp_path.iterdir()} == {
        "freehold.db": "0o600",
        "freehold.db.mark": "0o600",
    }
