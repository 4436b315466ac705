"""Snapshots: what a sandbox wrote, laid over its image, kept as an image of its own that sandboxes and functions start from.

The sandbox may go on writing meanwhile, and may swap folders for links as it does: its files are opened step by step, without
following any. What it replaced of the image is copied; the rest is linked, for an image never changes.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import Any

from freehold.core.digests import image_digest
from freehold.core.home import Home
from freehold.core.specs import ImageSpec, ImageStep
from freehold.launchers.process import jail, system
from freehold.launchers.process.jail import Jail

# by tree: what is no file of the sandbox's own
_NOT_KEPT = {
    "root": ("proc", "dev", "sys", "run", "usr", "etc", "opt", "bin", "sbin", "lib", "lib32", "lib64", "libx32"),
    "etc": ("resolv.conf",),  # its network's, and the next one's may be another
    "opt": ("freehold",),  # ours
}
_OPAQUE = "user.overlay.opaque"
_CHUNK = 1 << 20
_MODES = 0o1777  # no set-uid of an untrusted program reaches an image
_ANYWHERE = """#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"
' '''
"""


def keep(one: Jail, image: Path, home: Home) -> ImageSpec:
    """Publish the snapshot under the home's images; the spec names it by its content."""
    draft = home.images / f".snapshot-{secrets.token_hex(6)}"
    draft.mkdir(parents=True)
    try:
        layer = _Layer(image.name)
        for tree in jail.trees(one):
            _keep_tree(one, tree.name, image, draft, layer)
        _loosen(draft / "venv/bin")
        made: dict[str, Any] = json.loads((image / "image.json").read_text())
        (draft / "image.json").write_text(json.dumps(made | {"snapshot": layer.digest.hexdigest()}, indent=1))
        spec = ImageSpec(steps=(ImageStep(kind="snapshot", args={"layer": layer.digest.hexdigest()}),))
        folder = home.images / image_digest(spec)
        draft.chmod(0o755)
        with contextlib.suppress(OSError):  # there already: the same content
            draft.rename(folder)
        return spec
    finally:
        system.discard(draft)


def _keep_tree(one: Jail, name: str, image: Path, draft: Path, layer: "_Layer") -> None:
    layer_only, skip = name not in ("root", "venv"), _NOT_KEPT.get(name, ())
    below = image / "system" / name if layer_only else image / ("fs" if name == "root" else "venv")
    target = draft / "system" / name if layer_only else draft / below.name
    if below.is_dir():
        shutil.copytree(below, target, symlinks=True, copy_function=_link)
    upper = os.open(one.scratch / "up" / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not layer_only or set(os.listdir(upper)).difference(skip):  # noqa: PTH208 (a descriptor)
            target.mkdir(parents=True, exist_ok=True)
            layer.lay(upper, target, raw=layer_only, skip=skip, path=f"/{name}")
    finally:
        os.close(upper)


class _Layer:
    """Lays an overlay's upper folder over another, and digests it on the way."""

    def __init__(self, base: str) -> None:
        self.digest = hashlib.sha256(base.encode())

    def lay(self, upper: int, target: Path, *, raw: bool, path: str, skip: tuple[str, ...] = ()) -> None:
        """`raw`: the result is a layer too, so that removals stay in it."""
        for name in sorted(os.listdir(upper)):
            if name not in skip:
                with contextlib.suppress(FileNotFoundError):  # removed while we looked
                    self._entry(upper, name, target / name, raw=raw, path=f"{path}/{name}")

    def _entry(self, upper: int, name: str, target: Path, *, raw: bool, path: str) -> None:
        found = os.stat(name, dir_fd=upper, follow_symlinks=False)
        mode = stat.S_IMODE(found.st_mode) & _MODES
        self.digest.update(f"{path}\0{stat.S_IFMT(found.st_mode)}\0{mode}\0".encode(errors="surrogateescape"))
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            _remove(target)
            if raw:
                os.mknod(target, stat.S_IFCHR, os.makedev(0, 0))
        elif stat.S_ISDIR(found.st_mode):
            self._folder(upper, name, target, raw=raw, path=path)
            target.chmod(mode | 0o700)
        elif stat.S_ISLNK(found.st_mode):
            to = os.readlink(name, dir_fd=upper)
            self.digest.update(os.fsencode(to))
            _remove(target)
            target.symlink_to(to)
        elif stat.S_ISREG(found.st_mode):
            self._file(upper, name, target, mode)

    def _folder(self, upper: int, name: str, target: Path, *, raw: bool, path: str) -> None:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=upper)
        try:
            opaque = _opaque(fd)
            if opaque or target.is_symlink() or not target.is_dir():
                _remove(target)
            target.mkdir(exist_ok=True)
            if opaque and raw:
                os.setxattr(target, _OPAQUE, b"y")
            self.lay(fd, target, raw=raw, path=path)
        finally:
            os.close(fd)

    def _file(self, upper: int, name: str, target: Path, mode: int) -> None:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=upper)
        with open(source, "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):  # it was swapped meanwhile
                return
            _remove(target)
            with target.open("xb") as copy:
                while chunk := file.read(_CHUNK):
                    self.digest.update(chunk)
                    copy.write(chunk)
            target.chmod(mode)
            os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))


def _opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, _OPAQUE) == b"y"
    except OSError:
        return False


def _remove(target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        system.discard(target)
    else:
        target.unlink(missing_ok=True)


def _link(source: str, target: str) -> None:
    """A hard link; of a whiteout, which takes one too."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _loosen(folder: Path) -> None:
    """Let scripts that were installed in the sandbox find their interpreter wherever the image lies."""
    mark = f"#!{jail.VENV}/bin/python".encode()
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            head = file.readline(200)
            rest = file.read() if head.startswith(mark) else b""
        if head.startswith(mark):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.unlink()
            path.write_bytes(_ANYWHERE.encode() + rest)
            path.chmod(mode)
