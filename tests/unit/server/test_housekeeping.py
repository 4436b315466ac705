"""What a server that was killed has left."""

from pathlib import Path

from freehold.core.home import Home
from freehold.server import housekeeping


async def test_images_that_were_being_made_go_and_others_stay(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert housekeeping.drafts(home) == []
    for name in (".build-1a2b-x", ".build-base-y", ".snapshot-z", "base-1", "1a2b"):
        (home.images / name / "venv").mkdir(parents=True)
    await housekeeping.remove(housekeeping.drafts(home))
    assert sorted(p.name for p in home.images.iterdir()) == ["1a2b", "base-1"]


async def test_of_images_that_homes_share_none_is_taken_for_left(tmp_path: Path) -> None:
    shared, home = tmp_path / "shared", Home(tmp_path / "home")
    (shared / ".build-1a2b-x").mkdir(parents=True)
    home.images.parent.mkdir()
    home.images.symlink_to(shared)
    assert housekeeping.drafts(home) == []
