"""Debian packages: what counts as being there, and what of a shell command is apt's."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from freehold.core.errors import ImageBuildError
from freehold.launchers.process import apt
from freehold.launchers.process.apt import (
    Apt,
    Inside,
    Provided,
    install_words,
    judge,
    lists_age_s,
    parse_installed,
    peel,
)

SHOWN = """ii \tlibgl1\t1.7.0-1\t
ii \tlibglib2.0-0t64\t2.78.4-7\tlibglib2.0-0 (= 2.78.4-7)
rc \toldthing\t1.0\t
ii \texim4-daemon-light\t4.96\tdefault-mta, mail-transport-agent
ii \tcurl\t8.5.0-2\t
"""


def missing(*packages: str, commands: tuple[str, ...] = ()) -> tuple[str, ...]:
    return judge(packages, parse_installed(SHOWN), lambda c: c in commands).missing


def test_installed_renamed_and_provided_packages_are_there() -> None:
    assert missing("libgl1", "libgl1-mesa-glx", "libglib2.0-0", "mail-transport-agent", "curl:amd64") == ()
    assert missing("oldthing", "nothing") == ("oldthing", "nothing")


def test_a_command_does_for_the_package_that_brings_it() -> None:
    assert missing("git", "ffmpeg", commands=("git", "ffmpeg")) == ("ffmpeg",)
    assert missing("build-essential", commands=("gcc", "g++", "make")) == ()


def test_another_version_passes_and_is_told_of() -> None:
    verdict = judge(["curl=8.5.0-2", "curl=8.5*", "curl=7.88.1"], parse_installed(SHOWN), lambda _: False)
    assert verdict.missing == ()
    assert verdict.notes == ("apt_install curl=7.88.1: this machine has curl 8.5.0-2",)


def test_what_is_no_package_is_named() -> None:
    with pytest.raises(ImageBuildError, match=r"'\$\(evil\)' is not the name of a Debian package"):
        missing("$(evil)")
    with pytest.raises(ImageBuildError, match="'--option' is not the name"):
        missing("--option")


@pytest.mark.parametrize(("command", "packages", "rest"), [
    ("apt-get update", (), ""),
    ("apt-get update && apt-get install -y git curl", ("git", "curl"), ""),
    ("sudo apt update; DEBIAN_FRONTEND=noninteractive apt install --yes git && git lfs install", ("git",), "git lfs install"),
    ("apt-get update && apt-get install -y git && rm -rf /var/lib/apt/lists/*", ("git",), ""),
    ("apt-get install -y git && make && apt-get clean", ("git",), "make"),
    ("apt-get install -y $PACKAGES", (), "apt-get install -y $PACKAGES"),
    ("apt-get install -y git | cat", (), "apt-get install -y git | cat"),
    ("echo 'apt-get install -y git'", (), "echo 'apt-get install -y git'"),
    ("aptitude install x", (), "aptitude install x"),
    ("apt-get install -y ./own.deb", (), "apt-get install -y ./own.deb"),
])  # fmt: skip
def test_apts_part_of_a_command(command: str, packages: tuple[str, ...], rest: str) -> None:
    assert peel(command) == (packages, rest)


class Machine:
    """A machine whose packages are a list."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, root: bool = True, age_s: float = 10.0) -> None:
        self.packages, self.ran, self.log = {"curl"}, list[list[str]](), list[str]()
        self.image: Inside | None = None

        def look(wanted: tuple[str, ...], status: Path | None = None) -> apt.Verdict:
            assert status is None
            return judge(wanted, dict.fromkeys(self.packages, "1"), lambda _: False)

        def age(now: float) -> float:
            del now
            return age_s

        def which(name: str, path: str | None = None) -> str:
            del path
            return f"/usr/bin/{name}"

        monkeypatch.setattr(apt, "_look", look)
        monkeypatch.setattr(apt, "lists_age_s", age)
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
        monkeypatch.setattr(apt.shutil, "which", which)

    async def run(self, title: str, argv: list[str], *, env: dict[str, str]) -> None:
        assert title.startswith("step 1")
        assert env["DEBIAN_FRONTEND"] == "noninteractive"
        self.ran.append([w for w in argv if not w.startswith(("-", "DPkg", "Dpkg"))])
        self.packages |= set(argv)

    async def provide(self, apt_: Apt, *packages: str) -> Provided:
        return await apt_.provide(packages, "step 1", self.run, self.log.append, self.image)


async def test_without_leave_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    await machine.provide(Apt(), "curl")
    with pytest.raises(
        ImageBuildError,
        match=r"step 1: ffmpeg is not on this machine, and no image can have packages of its own here: too old\. .*apt-get install ffmpeg.*--host-apt.*--missing-apt warn",
    ):
        await machine.provide(Apt(flat="too old"), "curl", "ffmpeg")
    assert machine.ran == []


async def test_what_is_missing_goes_into_an_image_that_can_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    given: list[tuple[str, ...]] = []

    async def install(missing: tuple[str, ...]) -> None:
        given.append(missing)
        if "nowhere" in missing:
            raise ImageBuildError("E: Unable to locate package nowhere")

    machine.image = Inside(install=install)
    assert await machine.provide(Apt(), "curl") == Provided()
    assert await machine.provide(Apt(missing="warn"), "curl", "ffmpeg") == Provided(inside=True)
    assert given == [("ffmpeg",)]
    with pytest.raises(ImageBuildError, match="Unable to locate"):
        await machine.provide(Apt(), "nowhere")
    assert await machine.provide(Apt(missing="warn"), "nowhere") == Provided(lacking=("nowhere",))
    assert machine.log[-1] == "warning: step 1: the image lacks nowhere: what uses them fails"
    assert machine.ran == [], "nothing of the machine changed"


def test_an_old_name_is_there_beside_the_new_one() -> None:
    assert install_words(("libgl1-mesa-glx", "curl=7.*"))[4:] == ("libgl1-mesa-glx|libgl1", "curl=7.*|curl=7.*")


async def test_a_build_may_go_on_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    await machine.provide(Apt(missing="warn"), "curl", "ffmpeg", "libgl1-mesa-glx")
    assert machine.ran == []
    assert machine.log == [
        (
            "warning: step 1: ffmpeg, libgl1-mesa-glx are not on this machine: what uses them fails. "
            "Run `sudo apt-get install ffmpeg libgl1`"
        ),
        "on this machine: curl",
    ]


async def test_with_leave_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    await machine.provide(Apt(installs=True), "curl", "ffmpeg", "libgl1-mesa-glx")
    assert machine.ran == [["apt-get", "install", "ffmpeg", "libgl1"]]
    old = Machine(monkeypatch, age_s=1e6)
    await old.provide(Apt(installs=True), "ffmpeg")
    assert old.ran == [["apt-get", "update"], ["apt-get", "install", "ffmpeg"]]


async def test_only_root_can_install(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, root=False)
    with pytest.raises(ImageBuildError, match="the server does not run as root"):
        await machine.provide(Apt(installs=True), "ffmpeg")
    assert machine.ran == []


def test_the_age_of_package_lists(tmp_path: Path) -> None:
    now = time.time()
    assert lists_age_s(now, tmp_path / "nowhere") == float("inf")
    (tmp_path / "x_InRelease").touch()
    assert -5 < lists_age_s(now, tmp_path) < 5


def test_the_machines_own_packages_can_be_read() -> None:
    if apt.shutil.which("dpkg-query") is None:
        pytest.skip("not a Debian")
    look: Any = apt._look
    assert look(("base-files",)).missing == ()
    assert look(("no-such-package-of-freehold",)).missing == ("no-such-package-of-freehold",)
