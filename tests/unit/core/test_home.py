"""A home's folders are this user's own, or are refused with the fix."""

import errno
import os
from pathlib import Path

import pytest

from freehold.core.errors import InvalidError, ResourceExhaustedError
from freehold.core.home import Home, make_private, unusable


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b")
    make_private(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_write_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    make_private(tmp_path / "open")
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o755


def test_a_file_or_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link", "file/below"):
        with pytest.raises(InvalidError, match="FREEHOLD_HOME"):
            make_private(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(InvalidError, match="another user"):
        make_private(tmp_path / "theirs")


def test_a_home_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    full = unusable(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    assert isinstance(full, ResourceExhaustedError)
    read_only = unusable(OSError(errno.EROFS, "Read-only file system"), tmp_path)
    assert isinstance(read_only, InvalidError)
    assert "FREEHOLD_HOME" in str(read_only)


def test_a_user_without_a_home_is_told_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_HOME", "~no-such-user-anywhere/x")
    with pytest.raises(InvalidError, match="set FREEHOLD_HOME"):
        Home.default()
