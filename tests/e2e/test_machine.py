"""Machines that lack something: a disk that is full or read-only, and what recovers when that ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.harness import PROGRAMS, Freehold, MakeHome, free_port, wait_for

_MOUNTS = os.geteuid() == 0 and Path("/proc/filesystems").read_text().find("tmpfs") >= 0
own_disk = pytest.mark.skipif(not _MOUNTS, reason="a disk of its own needs root")


@pytest.fixture
def home(disk: Path, images: Path) -> Iterator[Freehold]:
    """A home on a small disk."""
    (disk / "images").symlink_to(images, target_is_directory=True)
    home = Freehold(disk, free_port())
    yield home
    home("down")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 MiB."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def _fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return ballast


@own_disk
def test_a_full_disk_is_named_by_every_command_and_nothing_is_half_done(disk: Path, home: Freehold) -> None:
    ballast = _fill(disk)
    for words in (["up", "--detach"], ["up"]):
        done = home(*words)
        assert done.returncode == 7, done.stderr
        assert "full" in done.stderr
        assert "Traceback" not in done.stderr
    ballast.unlink()
    home.ok("up", "--detach")
    ballast = _fill(disk)
    for words in (["volume", "create", "v"], ["deploy", "hello.py"]):
        done = home(*words)
        assert done.returncode == 7, done.stderr
        assert "full" in done.stderr
    ballast.unlink()
    assert home.json("volume", "list") == home.json("app", "list") == []
    home.ok("volume", "create", "v")


@own_disk
def test_calls_are_refused_while_the_disk_is_full_and_taken_when_there_is_room(disk: Path, home: Freehold) -> None:
    home.ok("up", "--detach")
    home.ok("deploy", "hello.py")
    ballast = _fill(disk)
    wait_for(lambda: "is full" in home.ok("status"))
    calling = "import freehold; print(freehold.Function.from_name('e2e-hello', 'square').remote(3))"
    call = [sys.executable, "-c", calling]
    refused = subprocess.run(call, env=home.env, capture_output=True, text=True, check=False, timeout=20)
    assert "ResourceExhaustedError: the disk that holds" in refused.stderr
    ballast.unlink()
    wait_for(lambda: "is full" not in home.ok("status"))
    taken = subprocess.run(call, env=home.env, capture_output=True, text=True, check=False, timeout=60)
    assert taken.stdout == "9\n", taken.stderr


@own_disk
def test_a_read_only_home_is_refused_with_the_fix(disk: Path, home: Freehold) -> None:
    home.ok("up", "--detach")
    home.ok("down")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for words in (["up", "--detach"], ["up"]):
        done = home(*words)
        assert done.returncode == 2, done.stderr
        assert "Read-only" in done.stderr
        assert "FREEHOLD_HOME" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(server: Freehold, closed: str) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    done = subprocess.run(
        [*shell, *server.command("run", "hello.py")],
        env=server.env,
        cwd=PROGRAMS,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_what_the_locale_cannot_show_is_a_question_mark(server: Freehold) -> None:
    ascii_only = (("LC_ALL", "POSIX"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0"))
    here = Freehold(server.home, server.port, ascii_only)
    assert here.ok("volume", "create", "e2e-ascii") == "? volume e2e-ascii\n"
    here.ok("volume", "delete", "e2e-ascii", "--yes")


def test_of_many_ups_at_once_one_wins_and_the_rest_say_who(make_home: MakeHome) -> None:
    home = make_home()
    begun = [home.start("up", "--detach") for _ in range(4)]
    said = [process.communicate()[0] for process in begun]
    assert sorted(process.returncode for process in begun) == [0, 6, 6, 6], said
    losers = [text for process, text in zip(begun, said, strict=True) if process.returncode]
    assert all(text.count("error:") == 1 and "freehold down" in text for text in losers), losers
    home.ok("down")
