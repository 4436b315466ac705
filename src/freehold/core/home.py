"""Where everything a machine keeps lies: one folder, `FREEHOLD_HOME`."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import Error, InvalidError, ResourceExhaustedError
from freehold.core.oserrors import machine_error

_SOCKET_PATH_MAX = 90  # the kernel takes 107 bytes; leave room for an instance's own socket name


@dataclass(frozen=True)
class Home:
    """The layout under one home. Two homes are two platforms."""

    root: Path

    @classmethod
    def default(cls) -> "Home":
        """The home that the environment names, or `~/.freehold`."""
        named = os.environ.get("FREEHOLD_HOME") or "~/.freehold"
        try:
            # without "..": the path is the name of the home, by which its socket may be found
            return cls(Path(os.path.abspath(Path(named).expanduser())))  # noqa: PTH100 (links stay)
        except RuntimeError as error:  # a user that the machine does not know, as in many containers
            raise InvalidError(
                f"there is no folder to keep things in ({named!r}: {error}): set FREEHOLD_HOME"
            ) from error

    @property
    def database(self) -> Path:
        return self.root / "freehold.db"

    @property
    def commands(self) -> Path:
        """`freehold` and `modal`, for the programs that programs run."""
        return self.root / "bin"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def buckets(self) -> Path:
        """What is here of the buckets that functions mount."""
        return self.root / "buckets"

    @property
    def dicts(self) -> Path:
        """Large values of dicts, a folder each."""
        return self.root / "dicts"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def system(self) -> Path:
        """What lies right over the machine's own folders, below what images change of them."""
        return self.root / "system"

    @property
    def mounts(self) -> Path:
        """Unpacked local files, by digest."""
        return self.root / "mounts"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def instances(self) -> Path:
        """One folder an instance: its raw output and its scratch files."""
        return self.root / "instances"

    @property
    def sandboxes(self) -> Path:
        """One folder a sandbox: what it writes. Gone with it."""
        return self.root / "sandboxes"

    @property
    def token(self) -> Path:
        return self.root / "token"

    @property
    def key(self) -> Path:
        """The key that seals secrets and signs sessions."""
        return self.root / "key"

    @property
    def config(self) -> Path:
        return self.root / "freehold.toml"

    @property
    def server_file(self) -> Path:
        """JSON about the running server: pid, url, version, started."""
        return self.root / "server.json"

    @property
    def lock(self) -> Path:
        return self.root / "server.lock"

    @property
    def run(self) -> Path:
        """Sockets; elsewhere when the home's own path is too long for a Unix socket."""
        own = self.root / "run"
        if len(os.fsencode(own)) <= _SOCKET_PATH_MAX - 40:
            return own
        return Path("/tmp") / f"freehold-{os.getuid()}-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]}"  # noqa: S108 (made 0700, owner checked)

    @property
    def link_socket(self) -> Path:
        return self.run / "link.sock"

    @property
    def api_socket(self) -> Path:
        return self.run / "api.sock"

    @property
    def arena(self) -> Path:
        """Shared memory for large buffers."""
        name = f"freehold-{os.getuid()}-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]}"
        return Path("/dev/shm") / name  # noqa: S108 (made 0700, owner checked)


def make_private(folder: Path) -> None:
    """Make a folder that only this user may enter; InvalidError when it cannot be made, or is another user's."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat(follow_symlinks=False)
    except OSError as error:
        raise unusable(error, folder) from error
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise InvalidError(
            f"{folder} belongs to another user or is no folder; remove it, or set FREEHOLD_HOME to another folder"
        )
    if folder.parent in (Path("/tmp"), Path("/dev/shm")):  # noqa: S108 (checked above)
        folder.chmod(0o700)
    elif found.st_mode & 0o022:  # who else may write here may put a token of theirs in place
        folder.chmod(stat.S_IMODE(found.st_mode) & ~0o022)


def unusable(error: OSError, path: Path) -> Error:
    """The error of a home that cannot be written at `path`."""
    told = machine_error(error, path)
    if isinstance(told, ResourceExhaustedError):
        return told
    return InvalidError(f"cannot write {path}: {error.strerror}; set FREEHOLD_HOME to a folder that can be written")
