"""Images built with a real uv: steps, failures, single flight, and what a build leaves for instances."""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.core.digests import image_digest
from freehold.core.errors import ImageBuildError
from freehold.core.home import Home
from freehold.core.specs import FunctionSpec, ImageSpec, ImageStep
from freehold.launchers.process import build
from freehold.launchers.process.launcher import ProcessLauncher
from freehold.sdk.serialization import dump_arguments, dump_code

from . import fake
from .conftest import PROGRAMS

Spec = Callable[..., FunctionSpec]


def image(*steps: tuple[str, dict[str, Any]]) -> ImageSpec:
    return ImageSpec(steps=tuple(ImageStep(kind=kind, args=args) for kind, args in steps))  # type: ignore[arg-type]


def remember(text: str) -> None:
    """Run by `run_function`."""
    from pathlib import Path

    Path("/root/remembered.txt").write_text(text)
    print("remembering", text)


def _call(*args: Any) -> str:
    return base64.b64encode(msgspec.msgpack.encode(dump_arguments(args, {}))).decode()


class Attached:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def files(self, digest: str) -> Path:
        return self.folder / digest

    async def secret(self, name: str, *, workspace: str) -> dict[str, str]:
        assert workspace == "main"
        return {"SECRET": name}

    async def volume(self, name: str, *, workspace: str, create: bool) -> Path:
        assert workspace == "main"
        (self.folder / name).mkdir(exist_ok=create)
        return self.folder / name


@pytest.fixture
async def launcher(home: Home, level: Any) -> AsyncIterator[ProcessLauncher]:
    launcher = ProcessLauncher(home, level=level)
    yield launcher
    await launcher.close()


async def test_steps_shape_what_instances_see(home: Home, spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "copied.txt").write_text("copied")
    recipe = image(
        ("debian_slim", {"python_version": None}),
        ("env", {"vars": {"COLOUR": "blue"}}),
        ("add_local", {"digest": "abc", "remote_path": "/root/assets"}),
        ("run_commands", {"commands": ["echo $COLOUR > /root/colour.txt; mkdir -p /models; cat /root/assets/copied.txt > /models/weights"]}),
        ("run_function", {"qualname": "remember", "call": _call("this"), "serialized": base64.b64encode(dump_code(remember)).decode()}),
        ("workdir", {"path": "/models"}),
    )  # fmt: skip
    lines: list[str] = []

    async def build(launcher: ProcessLauncher) -> Path:
        launcher.attachments = Attached(tmp_path)
        return await launcher.ensure_image(recipe, lines.append)

    async with fake.serve(home, build) as server:
        instance = await server.start(spec("run"), PROGRAMS)
        command = "pwd; cat weights /root/colour.txt /root/remembered.txt /root/assets/copied.txt; echo $COLOUR; echo x > /root/new && echo ok"
        assert await instance.value(command) == (0, "/models\ncopiedblue\nthiscopiedblue\nok\n")
    assert any("remembering this" in line for line in lines)
    assert any("step 3" in line or "run_function" in line for line in lines)
    assert "remembering this" in (home.images / image_digest(recipe) / "build.log").read_text()


async def test_a_working_directory_is_made(launcher: ProcessLauncher, home: Home, spec: Spec) -> None:
    if launcher.guards()["bubblewrap"] != "ok":
        pytest.skip("the host's own folders are left as they are")
    async with fake.serve(
        home, lambda it: it.ensure_image(image(("workdir", {"path": "/made/here"})), print)
    ) as server:
        instance = await server.start(spec("run"), PROGRAMS)
        assert await instance.value("pwd") == (0, "/made/here\n")


async def test_a_failed_step_is_named_with_its_last_lines(launcher: ProcessLauncher, home: Home) -> None:
    recipe = image(("run_commands", {"commands": ["echo before; ls /nowhere; exit 3"]}))
    with pytest.raises(
        ImageBuildError, match=r"^step 1 of 1, run_commands 'echo before; .*': failed with exit code 2\n"
    ) as caught:
        await launcher.ensure_image(recipe, lambda _: None)
    assert "/nowhere" in str(caught.value)
    digest = image_digest(recipe)
    assert not (home.images / digest).exists()
    assert "before" in (home.images / f"{digest}.failed.log").read_text()
    assert not list(home.images.glob(".build-*"))


async def test_a_package_that_does_not_exist(launcher: ProcessLauncher) -> None:
    with pytest.raises(ImageBuildError, match="no-such-package-of-freehold"):
        await launcher.ensure_image(
            image(("pip_install", {"packages": ["no-such-package-of-freehold==99"]})), lambda _: None
        )


@pytest.mark.parametrize(("step", "message"), [
    (("from_registry", {"tag": "nvidia/cuda"}), "container launcher"),
    (("debian_slim", {"python_version": "banana"}), "3.12"),
])  # fmt: skip
async def test_what_this_launcher_cannot_give_says_so(launcher: ProcessLauncher, step: Any, message: str) -> None:
    with pytest.raises(ImageBuildError, match=message):
        await launcher.ensure_image(image(step), lambda _: None)


async def test_one_build_however_many_ask(launcher: ProcessLauncher) -> None:
    once = os.urandom(4).hex()
    recipe = image(("env", {"vars": {"ONCE": once}}), ("run_commands", {"commands": ["echo building once"]}))
    logs: list[list[str]] = [[] for _ in range(5)]
    folders = await asyncio.gather(*(launcher.ensure_image(recipe, log.append) for log in logs))
    assert len(set(folders)) == 1
    made = json.loads((folders[0] / "image.json").read_text())
    assert made["env"] == {"ONCE": once}
    for log in logs:
        assert log.count("building once") == 1
    silent: list[str] = []
    assert await launcher.ensure_image(recipe, silent.append) == folders[0]
    assert silent == []


async def test_two_servers_that_share_their_images_leave_each_other_the_first(home: Home) -> None:
    launchers = [ProcessLauncher(home), ProcessLauncher(home)]
    inodes: list[int] = []

    async def build(launcher: ProcessLauncher) -> None:
        inodes.append(
            (await launcher.ensure_image(image(("env", {"vars": {"SHARED": "1"}})), lambda _: None)).stat().st_ino
        )

    try:
        await asyncio.gather(*(build(one) for one in launchers))
    finally:
        await asyncio.gather(*(one.close() for one in launchers))
    assert inodes[0] == inodes[1]
    assert [p.name for p in home.images.iterdir() if p.name.startswith(".")] == []


async def test_a_cancelled_build_leaves_nothing(home: Home) -> None:
    launcher = ProcessLauncher(home)
    recipe = image(("run_commands", {"commands": ["echo waiting; sleep 607"]}))
    reached = asyncio.Event()
    task = asyncio.create_task(launcher.ensure_image(recipe, lambda line: reached.set() if line == "waiting" else None))
    await asyncio.wait_for(reached.wait(), 30)
    await launcher.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list(home.images.glob(".build-*"))


async def test_no_step_writes_outside_the_image(home: Home, tmp_path: Path) -> None:
    launcher = ProcessLauncher(home)
    launcher.attachments = Attached(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "planted").write_text("x")
    (tmp_path / "outside").mkdir()
    copy = ("add_local", {"digest": "files", "remote_path": "/../" * 9 + str(tmp_path / "outside")})
    workdir = ("workdir", {"path": "/../" * 9 + str(tmp_path / "outside" / "made")})
    link = ("run_commands", {"commands": [f"ln -s {tmp_path}/outside /linked"]})
    through = ("add_local", {"digest": "files", "remote_path": "/linked"})
    try:
        for steps in ([copy], [workdir, ("run_commands", {"commands": ["true"]})], [link, through]):
            if launcher.guards()["image_layers"] == "ok":  # they lead to where they would in a container
                await launcher.ensure_image(image(*steps), lambda _: None)
                continue
            with pytest.raises(ImageBuildError, match="leads out of the image"):
                await launcher.ensure_image(image(*steps), lambda _: None)
    finally:
        await launcher.close()
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize("level", ["pids", "none"], indirect=True)
async def test_a_function_runs_by_name_and_its_files_stay_out_of_the_image(
    launcher: ProcessLauncher, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/program.py").write_text(
        "from pathlib import Path\nGREETING = 'hello'\ndef word(): return GREETING\nclass Loader:\n"
        "    @staticmethod\n    def load(name): (Path.home() / 'made.txt').write_text(f'{word()} {name} {__name__}'); print('made it')\n"
    )
    launcher.attachments = Attached(tmp_path)
    step = ImageStep(
        kind="run_function", args={"module": "program", "qualname": "Loader.load", "code": os.urandom(4).hex(), "call": _call("you")},
        beside={"mounts": [{"digest": "files", "remote_path": "/root"}], "timeout_s": 30.0},
    )  # fmt: skip
    folder = await launcher.ensure_image(ImageSpec(steps=(step,)), lambda _: None)
    assert (folder / "fs/root/made.txt").read_text() == "hello you program"
    assert sorted(p.name for p in (folder / "fs/root").iterdir() if not p.name.startswith(".")) == ["made.txt"]


async def test_secrets_variables_and_volumes_are_there_for_their_step_alone(
    launcher: ProcessLauncher, tmp_path: Path
) -> None:
    launcher.attachments = Attached(tmp_path)
    lines: list[str] = []
    shown = "echo ${SECRET-none} ${OWN-none} > /root/%s; echo it is $SECRET"
    if launcher.guards()["bubblewrap"] == "ok":
        shown += "; if [ -d /data ]; then echo x > /data/written; fi"
    recipe = image(
        ("run_commands", {"commands": [shown % "first"], "secrets": [{"name": "hush-hush"}], "env": {"OWN": "1"}, "volumes": {"/data": {"name": "vol", "create_if_missing": True}}}),
        ("run_commands", {"commands": [shown % "second"]}),
        ("env", {"vars": {"ONCE": os.urandom(4).hex()}}),
    )  # fmt: skip
    folder = await launcher.ensure_image(recipe, lines.append)
    assert (folder / "fs/root/first").read_text() == "hush-hush 1\n"
    assert (folder / "fs/root/second").read_text() == "none none\n"
    assert "it is ***" in lines
    assert not any("hush-hush" in line for line in [*lines, *await launcher.image_log(image_digest(recipe))])
    if launcher.guards()["bubblewrap"] == "ok":
        assert (tmp_path / "vol/written").exists()


async def test_a_failing_step_does_not_show_its_secrets(launcher: ProcessLauncher, tmp_path: Path) -> None:
    launcher.attachments = Attached(tmp_path)
    recipe = image(("run_commands", {"commands": ["echo $SECRET >&2; exit 3"], "secrets": [{"name": "hush-hush"}]}))
    with pytest.raises(ImageBuildError, match=r"exit code 3\n +\*\*\*$"):
        await launcher.ensure_image(recipe, lambda _: None)
    assert await launcher.image_log(image_digest(recipe)) != []


async def test_dockerfiles_and_their_files(launcher: ProcessLauncher, tmp_path: Path) -> None:
    for name in ("a.txt", "data/b.txt", "data/deep/c.txt"):
        (tmp_path / "ctx" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ctx" / name).write_text(name)
    launcher.attachments = Attached(tmp_path)
    text = (
        'FROM python:3\nARG WHO=nobody\nENV GREETING="hello $WHO"\nWORKDIR /srv\nCOPY a.txt renamed.txt\nCOPY a.txt sub/\nCOPY data /srv/data\n'
        "COPY data/*.txt .\nRUN echo $GREETING > said.txt\nRUN [\"python\", \"-c\", \"open('ran.txt', 'w').write('x')\"]\n"
    )
    recipe = image(("from_dockerfile", {"dockerfile": text, "context": "ctx", "build_args": {"WHO": "you"}}))
    lines: list[str] = []
    folder = await launcher.ensure_image(recipe, lines.append)
    made = {str(p.relative_to(folder / "fs/srv")): p.read_text() for p in (folder / "fs/srv").rglob("*") if p.is_file()}
    assert made == {
        "renamed.txt": "a.txt", "sub/a.txt": "a.txt", "data/b.txt": "data/b.txt", "data/deep/c.txt": "data/deep/c.txt", "b.txt": "data/b.txt",
        "said.txt": "hello you\n", "ran.txt": "x",
    }  # fmt: skip
    assert any(line.startswith("warning: ") and "stands in for it" in line for line in lines)


async def test_images_are_measured_and_deleted(launcher: ProcessLauncher) -> None:
    recipe = image(("env", {"vars": {"ONCE": os.urandom(4).hex()}}))
    folder = await launcher.ensure_image(recipe, lambda _: None)
    digest = image_digest(recipe)
    os.utime(folder, (1.0, 1.0))
    facts = await launcher.image_facts(digest)
    assert facts is not None
    assert facts.used == 1.0
    assert (facts.size_bytes or 0) > 1_000_000
    assert any("venv" in line for line in await launcher.image_log(digest))
    await launcher.ensure_image(recipe, lambda _: None)
    again = await launcher.image_facts(digest)
    assert again is not None
    assert again.used > 1e9
    await launcher.delete_image(digest)
    assert (folder.exists(), await launcher.image_facts(digest), await launcher.image_log(digest)) == (False, None, [])


def _wheel(folder: Path, name: str, version: str, text: str) -> None:
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, content)


def _tree(venv: Path) -> dict[str, str]:
    """What a venv's files say, without the caches of what was run."""
    found = (p for p in venv.rglob("*") if p.is_file() and not p.is_symlink() and p.suffix != ".pyc")
    return {str(p.relative_to(venv)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[tuple[ProcessLauncher, Home]]:
    """A launcher in a home of its own."""
    home = Home(tmp_path / "fresh")
    launcher = ProcessLauncher(home)
    launcher.attachments = Attached(tmp_path)
    yield launcher, home
    await launcher.close()


async def test_images_share_a_base_that_none_of_them_changes(
    fresh: tuple[ProcessLauncher, Home], tmp_path: Path
) -> None:
    launcher, home = fresh
    lines: list[str] = []
    plain = image(("run_commands", {"commands": ["python -W ignore -c 'import aiohttp, certifi, pkg_resources, setuptools, wheel'"]}))  # fmt: skip
    first, second = await asyncio.gather(*(launcher.ensure_image(i, lines.append) for i in (plain, ImageSpec())))
    assert len([line for line in lines if line.startswith("==> base venv")]) == 1
    bases = list(home.images.glob("base-*"))
    assert len(bases) == 1
    base = bases[0] / "venv"
    before = {folder: _tree(folder) for folder in (base, first / "venv", second / "venv")}
    _wheel(tmp_path / "wheels", "anyio", "99.0", "HERE = 'by pip'\n")
    _wheel(tmp_path / "wheels", "typer", "99.0", "HERE = 'by uv'\n")
    changed = await launcher.ensure_image(
        image(
            ("add_local", {"digest": "wheels", "remote_path": "/root/wheels"}),
            ("run_commands", {"commands": ["pip install --upgrade --no-index --no-deps --find-links /root/wheels anyio"]}),
            ("pip_install", {"packages": ["typer==99.0"], "find_links": str(tmp_path / "wheels"), "extra_options": "--no-deps"}),
            ("run_commands", {"commands": ["python -c 'import anyio, typer; print(anyio.HERE, typer.HERE)'; head -1 $(which pip)"]}),
        ),
        lines.append,
    )  # fmt: skip
    assert "by pip by uv" in lines
    assert {folder: _tree(folder) for folder in before} == before
    assert not list(changed.glob("venv/lib/python3.*/site-packages/anyio/_core"))
    assert list(base.glob("lib/python3.*/site-packages/anyio/_core"))
    texts = [(changed / "venv/pyvenv.cfg").read_text(), *((changed / "venv/bin" / n).read_text() for n in ("pip", "modal", "uvicorn"))]  # fmt: skip
    assert not any(str(base) in text or ".build-" in text for text in texts)
    assert [p.read_text() for p in changed.glob("venv/lib/python3.*/site-packages/_freehold.pth")] == ["../../../../../lib\n"]  # fmt: skip


async def test_bases_that_no_image_will_begin_with_are_removed(fresh: tuple[ProcessLauncher, Home]) -> None:
    launcher, home = fresh
    await launcher.ensure_image(ImageSpec(), lambda _: None)
    (base,) = home.images.glob("base-*")
    old = home.images / "base-0123"
    shutil.copytree(base, old, symlinks=True)
    made = json.loads((old / "base.json").read_text())
    (old / "base.json").write_text(json.dumps({**made, "layout": made["layout"] - 1}))
    await launcher.delete_image(image_digest(ImageSpec()))
    assert list(home.images.glob("base-*")) == [base]
    lines: list[str] = []
    await launcher.ensure_image(ImageSpec(), lines.append)
    assert not any("base venv" in line for line in lines)
    shutil.rmtree(base)
    await launcher.ensure_image(image(("env", {"vars": {"A": "1"}})), lines.append)
    assert any("base venv" in line for line in lines)
    assert base.is_dir()


async def test_a_base_that_cannot_be_made_leaves_nothing(
    fresh: tuple[ProcessLauncher, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher, home = fresh
    monkeypatch.setattr(build, "runner_requirements", lambda: ("no-such-package-of-freehold==99",))
    with pytest.raises(ImageBuildError, match="install the runner's packages"):
        await launcher.ensure_image(ImageSpec(), lambda _: None)
    assert not list(home.images.glob("base-*"))
    assert not list(home.images.glob(".build-*"))
    monkeypatch.undo()
    await launcher.ensure_image(ImageSpec(), lambda _: None)
