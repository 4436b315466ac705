"""Files on their way into a volume and out of it: what goes where is settled, and refused, before the first byte is sent."""

import contextlib
import os
import re
import stat
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from freehold.cli import control
from freehold.cli.output import note, stderr
from freehold.core.errors import AlreadyExistsError, NotFoundError
from freehold.protocol.schemas import FileView
from freehold.sdk.http import Api

Moved = Callable[[int], None]  # told of bytes as they go
_AT_ONCE = 8
_WORTH_A_BAR_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One file: where it lies here, where in the volume, its size, and whether it may be run."""

    here: Path
    there: str
    bytes: int
    executable: bool


# ---- into a volume


def put(api: Api, volume: str, local: Path, remote: str, *, force: bool) -> tuple[list[Copy], str]:
    """Copy a file or a folder; return what was copied, and where to. Without `force` nothing that is there is replaced."""
    target = _target(api, volume, local, remote)
    files = [_to_send(path, _joined(target, relative)) for path, relative in _local_files(local)]
    if not force:
        _refuse([f.there for f in files if f.there in _present(api, volume, target)], f"in volume {volume!r}")

    def send(file: Copy, moved: Moved) -> None:
        with file.here.open("rb") as content:
            counted = _Counted(content, moved)
            control.put_file(api, volume, counted, file.bytes, file.there, force=force, executable=file.executable)

    _each("sending", files, send)
    return files, target


def _to_send(path: Path, there: str) -> Copy:
    status = path.stat()
    return Copy(here=path, there=there, bytes=status.st_size, executable=bool(status.st_mode & stat.S_IXUSR))


def _target(api: Api, volume: str, local: Path, remote: str) -> str:
    """Where it goes: into a folder that is named with / or is there, else under the name that is given."""
    path = remote.strip("/")
    into = remote.endswith("/") or (local.is_file() and _is_folder(api, volume, path))
    return _joined(path, local.resolve().name) if into else path


def _is_folder(api: Api, volume: str, path: str) -> bool:
    try:
        found = control.files(api, volume, path)
    except NotFoundError:
        return False
    return not (len(found) == 1 and found[0].path == path)


def _present(api: Api, volume: str, target: str) -> set[str]:
    try:
        return {f.path for f in control.files(api, volume, target, recursive=True)}
    except NotFoundError:
        control.files(api, volume, "")  # the volume itself has to be there
        return set()


def _local_files(local: Path) -> list[tuple[Path, str]]:
    """Files to copy, each with its place under the target; a lone file is the target itself."""
    if not local.is_dir():
        return [(local, "")]
    found: list[tuple[Path, str]] = []
    for folder, folders, names in os.walk(local):
        folders.sort()
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for path in (Path(folder) / name for name in [*links, *sorted(names)]):
            if path.is_file():
                found.append((path, path.relative_to(local).as_posix()))
            else:
                what = "a link to a folder" if path.is_dir() else "a broken link" if path.is_symlink() else "no file"
                note(f"left out: {path} ({what})")
    return found


# ---- out of a volume


def get(api: Api, volume: str, remote: str, local: Path, *, force: bool) -> list[Copy]:
    """Copy a file, a folder, or the files that a pattern such as `logs/*.txt` names; return what was copied."""
    wanted = remote.strip("/")
    found = _matching(api, volume, wanted) if re.search(r"[*?]", wanted) else None
    files = found if found is not None else _one(api, volume, wanted)
    base = _fixed_part(wanted) if found is not None else wanted
    folder = found is not None or not (len(files) == 1 and files[0].path == wanted)
    into = local / PurePosixPath(wanted).name if local.is_dir() and found is None and wanted else local
    copies = [
        Copy(
            here=into / PurePosixPath(f.path).relative_to(base) if folder else into,
            there=f.path,
            bytes=f.bytes,
            executable=f.executable,
        )
        for f in files
        if f.type == "file"
    ]
    if not force:
        _refuse([str(c.here) for c in copies if c.here.exists()], "here")
    _each("fetching", copies, lambda file, moved: _fetch(api, volume, file, moved))
    return copies


def _one(api: Api, volume: str, wanted: str) -> Sequence[FileView]:
    try:
        return control.files(api, volume, wanted, recursive=True)
    except NotFoundError:
        parent = str(PurePosixPath("/", wanted).parent)
        control.files(api, volume, "")  # the volume itself has to be there
        raise NotFoundError(
            f"volume {volume!r} has no {wanted!r}; see `freehold volume ls {volume} {parent}`"
        ) from None


def _matching(api: Api, volume: str, pattern: str) -> Sequence[FileView]:
    matches = re.compile(_as_expression(pattern)).fullmatch
    found = [f for f in control.files(api, volume, "", recursive=True) if f.type == "file" and matches(f.path)]
    if not found:
        raise NotFoundError(f"no file in volume {volume!r} is like {pattern!r}; see `freehold volume ls {volume} -r`")
    return found


def _as_expression(pattern: str) -> str:
    """Read a pattern as shells do: `*` and `?` stay within a folder, `**` does not."""
    known = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return "".join(known.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))


def _fixed_part(pattern: str) -> str:
    """The folders before the first that has a wildcard in its name."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0].rpartition("/")[0]


def _fetch(api: Api, volume: str, file: Copy, moved: Moved) -> None:
    file.here.parent.mkdir(parents=True, exist_ok=True)
    part = file.here.with_name(file.here.name + ".part")  # a broken download leaves no half file under the real name
    try:
        with part.open("wb") as output:
            for chunk in control.get_file(api, volume, file.there):
                output.write(chunk)
                moved(len(chunk))
        if file.executable:
            mode = part.stat().st_mode
            part.chmod(mode | (mode & 0o444) >> 2)  # whoever may read it may run it
        part.replace(file.here)
    finally:
        part.unlink(missing_ok=True)


# ---- both


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, file: IO[bytes], moved: Moved) -> None:
        self._file, self._moved = file, moved

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._moved(len(data))
        return data


def _refuse(there: Sequence[str], where: str) -> None:
    if there:
        more = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
        them = "them" if len(there) > 1 else "it"
        raise AlreadyExistsError(f"{there[0]!r}{more} {where} already; pass --force to replace {them}")


def _each(what: str, files: Sequence[Copy], copy: Callable[[Copy, Moved], None]) -> None:
    """Copy several files at once; the first failure ends it."""
    with _bar(what, files) as moved, ThreadPoolExecutor(_AT_ONCE) as pool:

        def one(file: Copy) -> None:
            copy(file, moved)

        for _ in pool.map(one, files):
            pass


@contextlib.contextmanager
def _bar(what: str, files: Sequence[Copy]) -> Generator[Moved, None, None]:
    total = sum(f.bytes for f in files)
    if not stderr().is_terminal or total < _WORTH_A_BAR_BYTES:
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (what, BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}".strip("/")
