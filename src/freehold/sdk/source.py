"""Local files that go along with an app: which ones, and as deterministic tars whose digest is their name."""

import ast
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import IO, Self, cast

from freehold.core.errors import InvalidError
from freehold.core.specs import Mount
from freehold.sdk.file_pattern_matcher import matcher_of

Ignore = Sequence[str] | Callable[[Path], bool]
REMOTE_ROOT = "/root"
_SKIPPED_FOLDERS = frozenset(
    {"__pycache__", ".git", ".hg", ".svn", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules"}
)
_SPOOL_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Files:
    """One local file or folder, and where it goes."""

    local: Path
    remote: str  # absolute path of the file, or of the folder's copy
    ignore: Ignore = ()

    def entries(self) -> Iterator[tuple[str, Path]]:
        """Pairs of remote absolute path and local file."""
        if self.local.is_file():
            yield self.remote, self.local
            return
        if not self.local.is_dir():
            msg = f"{str(self.local)!r} is neither a file nor a folder here"
            raise InvalidError(msg)
        ignored = matcher_of(self.ignore)
        for path in _walk(self.local):
            relative = path.relative_to(self.local)
            if not ignored(relative):
                yield f"{self.remote.rstrip('/')}/{relative.as_posix()}", path


@dataclass(frozen=True, kw_only=True)
class Source:
    """A module of the user's and the files it comes with."""

    module: str  # the name it is imported by in an instance
    files: Files
    beside: tuple[Files, ...] = ()  # the rest of the namespace package that it is in
    is_main: bool = False

    @property
    def all_files(self) -> tuple[Files, ...]:
        return (*self.beside, self.files)


class Bundles:
    """The tars of one deploy, by digest, until they are uploaded."""

    def __init__(self) -> None:
        self.tars: dict[str, IO[bytes]] = {}
        self.sizes: dict[str, int] = {}
        self._mounts: dict[tuple[tuple[Path, str, str], ...], tuple[Mount, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for tar in self.tars.values():
            tar.close()

    def mounts(self, files: Iterable[Files]) -> tuple[Mount, ...]:
        """One mount a remote folder; what lies beneath another's folder joins its tar, so that no mount covers another."""
        files = tuple(files)
        key = tuple((f.local, f.remote, str(f.ignore)) for f in files)
        if key not in self._mounts:  # the functions of an app mostly share theirs
            self._mounts[key] = self._bundle(files)
        return self._mounts[key]

    def _bundle(self, files: tuple[Files, ...]) -> tuple[Mount, ...]:
        placed = {remote: local for f in files for remote, local in f.entries()}
        folders = _roots({_folder(f) for f in files})
        grouped: dict[str, dict[str, Path]] = {folder: {} for folder in folders}
        for remote, local in placed.items():
            folder = next(f for f in folders if _beneath(remote, f))
            grouped[folder][remote.removeprefix(folder).lstrip("/")] = local
        return tuple(Mount(digest=self.add(entries), remote_path=folder) for folder, entries in sorted(grouped.items()))

    def add(self, entries: dict[str, Path]) -> str:
        """Write a tar of `entries` (name in the tar: local file) and return its digest."""
        spool = cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES))  # noqa: SIM115 (kept until uploaded)
        digest = write_tar(entries, spool)
        if digest in self.tars:
            spool.close()
            return digest
        self.sizes[digest] = spool.tell()
        spool.seek(0)
        self.tars[digest] = spool
        return digest


def write_tar(entries: dict[str, Path], out: IO[bytes]) -> str:
    """Write a tar that depends on names, contents and the executable bit alone; return its sha256."""
    import tarfile

    hashing = _Hashing(out)
    with tarfile.open(fileobj=cast(IO[bytes], hashing), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sorted(entries.items()):
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                info = tarfile.TarInfo(name)
                info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
                tar.addfile(info, file)
    return hashing.digest.hexdigest()


def locate(module_name: str) -> Source | None:
    """Find the files of a module that is loaded; None when it has none (a REPL, a notebook)."""
    module = sys.modules.get(module_name)
    file = getattr(module, "__file__", None)
    if module is None or file is None or not Path(file).is_file():
        return None
    path = Path(file).resolve()
    name = import_name(module, path)
    return Source(module=name, files=_files_of(name, path), beside=_namespace(name), is_main=module_name == "__main__")


def sources_of(modules: Iterable[str]) -> list[Source]:
    """The files of these modules, each package once."""
    found = [s for s in (locate(m) for m in dict.fromkeys(modules)) if s is not None]
    return list({s.files.remote: s for s in found}.values())


def left_behind(sources: Iterable[Source], files: Iterable[Files]) -> list[str]:
    """Modules beside a script that it uses and that do not go along: an instance could not import them."""
    known = {PurePosixPath(f.remote) for f in files}
    found: set[str] = set()
    for source in sources:
        if "." in source.module or not source.files.local.is_file():
            continue  # a package brings all of itself, with an __init__.py or without
        folder = source.files.local.parent
        module = sys.modules["__main__" if source.is_main else source.module]
        for name in (_used_by(module) | imported_by(source.files.local)) - {"__main__", source.module}:
            place = _beside(folder, name)
            if place is not None and PurePosixPath(REMOTE_ROOT, place.name) not in known:
                found.add(name)
    return sorted(found)


def _beside(folder: Path, name: str) -> Path | None:
    """The file or the folder of a module that lies in `folder`, if that is where it is imported from."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is not None:
        path = Path(file)
        place = path.parent if path.stem == "__init__" else path
        return place if place.parent == folder else None
    if name in sys.stdlib_module_names or name in sys.modules:
        return None
    package, lone = folder / name, folder / f"{name}.py"
    return package if any(package.glob("*.py")) else lone if lone.is_file() else None


def _used_by(module: ModuleType) -> set[str]:
    """Top-level names of the modules whose objects a module has among its own."""
    values = list(vars(module).values())
    names = (v.__name__ if isinstance(v, ModuleType) else getattr(v, "__module__", None) for v in values)
    return {name.partition(".")[0] for name in names if isinstance(name, str)}


def imported_by(path: Path) -> set[str]:
    """Top-level names of the modules that a file's text imports, in its functions too; not in what runs here alone."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in _remote_nodes(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _remote_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All below a node but local entrypoints and `if __name__ == "__main__":`."""
    for child in ast.iter_child_nodes(node):
        decorators = getattr(child, "decorator_list", [])
        if any("local_entrypoint" in ast.unparse(d) for d in decorators):
            continue
        if isinstance(child, ast.If) and "__name__" in ast.unparse(child.test):
            continue
        yield child
        yield from _remote_nodes(child)


def import_name(module: ModuleType, path: Path) -> str:
    """The name by which an instance imports `module`: that of `-m` or of its place in its package, never `__main__`."""
    if module.__name__ != "__main__":
        return module.__name__
    spec = getattr(module, "__spec__", None)
    return spec.name if spec is not None else module_name_of(path)


def module_name_of(path: Path) -> str:
    """Dotted name of a file by the `__init__.py` files beside and above it; a lone file never takes a name of the standard library."""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts) if len(parts) > 1 else _own_name(*parts)


def _own_name(stem: str) -> str:
    """The name of a lone file as one that can be imported, and that nothing else has."""
    name = stem.replace(".", "_")
    return f"{name}_" if name in sys.stdlib_module_names or name == "__main__" else name


def local_module(name: str, ignore: Ignore = ()) -> list[Files]:
    """Files of a module or package given by name, for `add_local_python_source`."""
    import importlib.util

    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        msg = f"add_local_python_source({name!r}): no such module can be found here; run from the folder that holds it"
        raise InvalidError(msg)
    remote = f"{REMOTE_ROOT}/{name.replace('.', '/')}"
    if spec.submodule_search_locations:
        return [
            Files(local=Path(p), remote=remote, ignore=ignore or _not_python) for p in spec.submodule_search_locations
        ]
    return [Files(local=Path(str(spec.origin)), remote=f"{remote}.py")]


def _files_of(name: str, path: Path) -> Files:
    """The file alone, or the whole of the outermost regular package it belongs to."""
    depth = len(name.split(".")) - (0 if path.stem == "__init__" else 1)
    package = path
    for parent in list(path.parents)[:depth]:
        if (parent / "__init__.py").is_file():
            package = parent
    root = list(path.parents)[depth]
    if not path.with_suffix("").as_posix().endswith(name.replace(".", "/")) and path.stem != "__init__":
        return Files(local=path, remote=f"{REMOTE_ROOT}/{name.replace('.', '/')}.py")
    return Files(local=package, remote=f"{REMOTE_ROOT}/{package.relative_to(root).as_posix()}")


def _namespace(name: str) -> tuple[Files, ...]:
    """The Python files of the top-level package of a module, where that package is folders without an `__init__.py`."""
    top, _, below = name.partition(".")
    package = sys.modules.get(top)
    if not below or package is None or getattr(package, "__file__", None) is not None:
        return ()
    folders = [Path(p).resolve() for p in getattr(package, "__path__", ())]
    # of files of the same name the first folder's is imported: later entries of an archive replace earlier ones
    return tuple(
        Files(local=f, remote=f"{REMOTE_ROOT}/{top}", ignore=_not_python) for f in reversed(folders) if f.is_dir()
    )


class _Hashing:
    def __init__(self, out: IO[bytes]) -> None:
        self._out, self.digest = out, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._out.write(data)


def _walk(folder: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED_FOLDERS)
        for file in sorted(files):
            path = Path(base, file)
            if path.is_file() and not file.endswith((".pyc", ".pyo")):
                yield path


def _not_python(relative: Path) -> bool:
    return relative.suffix != ".py"


def _folder(files: Files) -> str:
    remote = PurePosixPath(files.remote)
    if str(remote).startswith(REMOTE_ROOT + "/"):
        return REMOTE_ROOT
    return str(remote.parent if files.local.is_file() else remote)


def _roots(folders: set[str]) -> list[str]:
    return [f for f in sorted(folders) if not any(_beneath(f, other) for other in folders - {f})]


def _beneath(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
