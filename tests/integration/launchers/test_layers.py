"""What steps change of the system: part of their image, private in its instances, and nothing of the machine's."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from freehold.core.digests import image_digest
from freehold.core.errors import ImageBuildError, StartError
from freehold.core.home import Home
from freehold.core.specs import FunctionSpec, ImageSpec, ImageStep
from freehold.launchers.process import apt, system
from freehold.launchers.process.launcher import ProcessLauncher

from . import debian, fake
from .conftest import PROGRAMS

Spec = Callable[..., FunctionSpec]


def image(*steps: tuple[str, dict[str, Any]]) -> ImageSpec:
    return ImageSpec(steps=tuple(ImageStep(kind=kind, args=args) for kind, args in steps))  # type: ignore[arg-type]


def commands(*lines: str) -> tuple[str, dict[str, Any]]:
    return "run_commands", {"commands": list(lines)}


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def files(self, digest: str) -> Path:
        return self.folder / digest

    async def secret(self, name: str, *, workspace: str) -> dict[str, str]:
        raise NotImplementedError

    async def volume(self, name: str, *, workspace: str, create: bool) -> Path:
        raise NotImplementedError


@pytest.fixture
async def launcher(home: Home, tmp_path: Path) -> AsyncIterator[ProcessLauncher]:
    launcher = ProcessLauncher(home)
    if launcher.guards()["image_layers"] != "ok":
        await launcher.close()
        pytest.skip(launcher.guards()["image_layers"])
    launcher.attachments = Files(tmp_path)
    yield launcher
    await launcher.close()


async def look(home: Home, folder: Path, spec: Spec, *lines: str, **options: Any) -> list[str]:
    """What shell commands say in an instance of an image."""

    async def built(_: ProcessLauncher) -> Path:
        return folder

    async with fake.serve(home, built, **options) as server:
        instance = await server.start(spec("run"), PROGRAMS)
        return [(await instance.value(line))[1] for line in lines]


async def test_what_steps_write_anywhere_is_in_the_image_and_nowhere_else(
    launcher: ProcessLauncher, home: Home, spec: Spec
) -> None:
    word = os.urandom(4).hex()
    gone = next(p for p in Path("/etc").iterdir() if p.is_file() and not p.is_symlink() and p.name.startswith("ld.so"))
    recipe = image(
        commands(
            f"mkdir -p /opt/{word} && echo opt > /opt/{word}/x",
            f"printf '#!/bin/sh\\necho tool\\n' > /usr/local/bin/{word} && chmod +x /usr/local/bin/{word}",
            f"echo conf > /etc/{word}; rm {gone}; echo 9.9.9.9 fake > /etc/hosts; mkdir /var/lib/{word}",
            f"test -e /opt/{word}/x && ln -s /opt/{word} /srv/linked",
        ),
        ("workdir", {"path": "/srv/linked"}),
        commands("pwd -P > here"),
    )
    folder = await launcher.ensure_image(recipe, lambda _: None)
    told = json.loads((folder / "image.json").read_text())
    assert told["system"] == system.release()
    said = await look(
        home, folder, spec, f"cat /opt/{word}/x; {word}; cat /etc/{word}; cat here", f"test -e {gone} || echo gone; grep -c fake /etc/hosts",
        f"echo mine > /opt/{word}/x && echo mine > /usr/mine-{word} && cat /opt/{word}/x /usr/mine-{word}; ls -d /var/lib/{word}",
    )  # fmt: skip
    assert said == [f"opt\ntool\nconf\n/opt/{word}\n", "gone\n0\n", f"mine\nmine\n/var/lib/{word}\n"]
    plain = await launcher.ensure_image(image(("env", {"vars": {"ONCE": word}})), lambda _: None)
    assert not (plain / "system").exists()
    other = f"ls /opt/{word} /usr/local/bin/{word} /etc/{word} /usr/mine-{word}; cat {gone} > /dev/null && echo there"
    assert (await look(home, plain, spec, other))[0].splitlines()[0] == "there"
    assert (await look(home, folder, spec, f"cat /opt/{word}/x"))[0] == "opt\n", (
        "instances do not see each other's writes"
    )
    assert not any(
        Path(p).exists() for p in (f"/opt/{word}", f"/usr/local/bin/{word}", f"/etc/{word}", f"/usr/mine-{word}")
    )
    assert gone.exists()


async def test_files_are_copied_to_where_the_images_links_lead(
    launcher: ProcessLauncher, home: Home, spec: Spec, tmp_path: Path
) -> None:
    word = os.urandom(4).hex()
    for name in ("a.txt", "sub/b.txt"):
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_text(f"{name}\n")
    recipe = image(
        commands(f"mkdir -p /opt/{word} && ln -s /opt/{word} /data"),
        ("add_local", {"digest": "files", "remote_path": "/data/in"}),
        ("add_local", {"digest": "files", "remote_path": f"/etc/{word}"}),
        ("from_dockerfile", {"dockerfile": f"FROM python:3\nCOPY sub/*.txt /bin/{word}/\nCOPY <<EOF /etc/{word}/own\nx = 1\nEOF\n", "context": "files"}),
    )  # fmt: skip
    folder = await launcher.ensure_image(recipe, lambda _: None)
    (said,) = await look(
        home,
        folder,
        spec,
        f"cat /opt/{word}/in/sub/b.txt /etc/{word}/a.txt /usr/bin/{word}/b.txt /etc/{word}/own; stat -c %a /etc",
    )
    assert said == f"sub/b.txt\na.txt\nsub/b.txt\nx = 1\n{Path('/etc').stat().st_mode & 0o7777:o}\n"
    missing = image(("from_dockerfile", {"dockerfile": "FROM python:3\nCOPY nothing.txt /opt/\n", "context": "files"}))
    with pytest.raises(ImageBuildError, match=r"COPY nothing\.txt: there is no such file"):
        await launcher.ensure_image(missing, lambda _: None)


async def test_what_only_root_may_read_stays_out_of_images(launcher: ProcessLauncher) -> None:
    secret = next((p for p in map(Path, ("/etc/shadow", "/etc/gshadow")) if p.is_file()), None)
    if secret is None or os.geteuid() != 0:
        pytest.skip("nothing here that root alone may read")
    recipe = image(commands(f"echo x >> {secret}; cp -p {secret} {secret}-; echo y > /etc/mine; chmod 600 /etc/mine"))
    folder = await launcher.ensure_image(recipe, lambda _: None)
    assert [p.name for p in (folder / "system/etc").iterdir()] == ["mine"]


async def test_an_image_of_layers_goes_whole(launcher: ProcessLauncher, home: Home) -> None:
    recipe = image(
        commands(
            "mkdir -p /opt/locked/deep && touch /opt/locked/deep/file && chmod 0 /opt/locked; rm -r /usr/share/doc"
        )
    )
    folder = await launcher.ensure_image(recipe, lambda _: None)
    assert sorted(p.name for p in folder.iterdir()) == ["build.log", "fs", "image.json", "system", "venv"]
    await launcher.delete_image(image_digest(recipe))
    assert not folder.exists()
    with pytest.raises(ImageBuildError):
        await launcher.ensure_image(image(commands("mkdir /opt/x && chmod 0 /opt/x; exit 3")), lambda _: None)
    assert [p.name for p in home.images.iterdir() if p.name.startswith(".")] == []


async def test_an_image_of_another_system_is_built_anew(
    launcher: ProcessLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    recipe = image(commands("echo x > /opt/once"), ("env", {"vars": {"ONCE": os.urandom(4).hex()}}))
    for expected in (True, False):
        await launcher.ensure_image(recipe, lines.append)
        assert bool(lines) is expected
        lines.clear()
    for module in ("system", "image"):
        monkeypatch.setattr(f"freehold.launchers.process.{module}.release", lambda: "debian 99 x86_64")
    await launcher.ensure_image(recipe, lines.append)
    assert lines


async def test_where_nothing_can_be_laid_that_is_said(
    launcher: ProcessLauncher, home: Home, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    layered = await launcher.ensure_image(image(commands("echo x > /opt/layered")), lambda _: None)
    lacking = image(("apt_install", {"packages": ["no-such-package-of-freehold"]}))

    def find(*_: Any) -> tuple[None, str]:
        return None, "the home lies on nfs"

    monkeypatch.setattr(system, "find", find)
    flat = ProcessLauncher(home)
    try:
        assert "the home lies on nfs" in flat.guards()["image_layers"]
        with pytest.raises(ImageBuildError, match=r"write below /root, .*: the home lies on nfs"):
            await flat.ensure_image(image(commands("echo x > /opt/flat")), lambda _: None)
        with pytest.raises(ImageBuildError, match=r"of its own here: the home lies on nfs.*apt-get install no-such"):
            await flat.ensure_image(lacking, lambda _: None)
        there = image(commands("echo x > /root/kept"), ("env", {"vars": {"ONCE": os.urandom(4).hex()}}))
        assert (await flat.ensure_image(there, lambda _: None) / "fs/root/kept").exists()
    finally:
        await flat.close()
    with pytest.raises(StartError, match="changes of the system, which need overlays: the home lies on nfs"):
        await look(home, layered, spec, "true")


async def test_an_image_that_went_without_packages_is_built_again_where_it_can_have_them(
    launcher: ProcessLauncher, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = image(("apt_install", {"packages": [f"no-such-{os.urandom(4).hex()}"]}))

    async def install(_self: Any, _image: Any, missing: tuple[str, ...], *_: Any) -> apt.Provided:
        return apt.Provided(lacking=missing)

    monkeypatch.setattr(apt.Apt, "_into", install)
    with monkeypatch.context() as patch:
        patch.setattr(system, "find", lambda *_: (None, "no"))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
        flat = ProcessLauncher(home, missing_apt="warn")
        await flat.ensure_image(recipe, lambda _: None)
        await flat.close()
    for expected in (True, False):
        lines: list[str] = []
        await launcher.ensure_image(recipe, lines.append)
        assert bool(lines) is expected


OWN_SOURCES = "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list"


async def test_debian_packages_are_installed_into_the_image(
    launcher: ProcessLauncher, home: Home, spec: Spec, tmp_path: Path
) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("not a Debian")
    name = f"freehold-test-{os.urandom(4).hex()}"
    debian.repository(
        tmp_path,
        name,
        f"echo made > /etc/made-by-script; ldconfig; update-alternatives --install /usr/bin/alt-{name} alt-{name} /usr/bin/{name} 1",
    )
    (tmp_path / "repo").rename(tmp_path / "packages")
    sources = [("add_local", {"digest": "packages", "remote_path": "/srv/repo"}), commands(OWN_SOURCES)]
    lines: list[str] = []
    folder = await launcher.ensure_image(
        image(*sources, ("apt_install", {"packages": [f"{name} bash"]}), ("apt_install", {"packages": [name]})),
        lines.append,
    )
    assert f"Setting up {name} (1.2) ..." in lines
    assert f"on this machine: {name}" in lines, "the second step finds it in the image"
    said = await look(home, folder, spec, f"{name}; alt-{name}; dpkg-query -W {name}; find /var/lib/apt/lists -type f")
    assert said == [f"made\nmade\n{name}\t1.2\n"]
    assert subprocess.run(["dpkg-query", "-W", name], check=False, capture_output=True).returncode != 0
    lines.clear()
    written = commands(f"apt-get update && apt-get install -y {name} && {name} > /root/said && apt-get clean")
    folder = await launcher.ensure_image(image(*sources, written), lines.append)
    assert (folder / "fs/root/said").read_text() == "made\n"
    with pytest.raises(
        ImageBuildError, match=r"(?s)step 3 of 3, apt_install .*--missing-apt warn.*Unable to locate package"
    ):
        await launcher.ensure_image(image(*sources, ("apt_install", {"packages": [f"{name}-not"]})), lambda _: None)


async def test_a_killed_build_is_removed_with_what_it_mounted(launcher: ProcessLauncher, home: Home) -> None:
    reached = asyncio.Event()
    recipe = image(commands("echo x > /opt/half; echo waiting; sleep 607"))
    task = asyncio.create_task(launcher.ensure_image(recipe, lambda line: reached.set() if line == "waiting" else None))
    await asyncio.wait_for(reached.wait(), 30)
    await launcher.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list(home.images.glob(".build-*"))
