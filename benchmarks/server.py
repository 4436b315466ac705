"""A Freehold server of the benchmark's own: its home, its start timed to the first 200, its processes."""

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
from benchmarks.environments import CACHE, wheel_folders
from benchmarks.processes import free_port, start, tree, until

from freehold.sdk import client

FREEHOLD = Path(sys.executable).parent / "freehold"
_START_S, _STOP_S = 60, 30


class Server:
    """`freehold up` as a child of this process. Images are kept from run to run, all else is begun anew."""

    def __init__(self, cache: Path = CACHE) -> None:
        self.home, self.port, self._log = cache / "home", free_port(), cache / "server.log"
        self.home.mkdir(parents=True, exist_ok=True)
        for path in self.home.iterdir():
            if path.name != "images":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        os.environ |= {"FREEHOLD_HOME": str(self.home), **wheel_folders()}
        for name in ("FREEHOLD_SERVER", "FREEHOLD_TOKEN", "FREEHOLD_API", "FREEHOLD_LINK"):
            os.environ.pop(name, None)
        client.use(None)  # one that knows another home's token is of no use here

    def start(self) -> dict[str, float]:
        """Start it; return the seconds from exec to the first 200 of each probe."""
        begun, first = time.perf_counter(), dict[str, float]()
        self._log.unlink(missing_ok=True)
        self._process = start([str(FREEHOLD), "up", "--port", str(self.port)], self._log)

        def ready() -> bool:
            if self._process.poll() is not None:
                said = self._log.read_text()[-2000:]
                raise RuntimeError(f"`freehold up` ended with {self._process.returncode}:\n{said}")
            for probe in ("livez", "readyz"):
                if probe not in first and self._status(f"/{probe}") == 200:
                    first[probe] = time.perf_counter() - begun
            return len(first) == 2

        until(ready, limit_s=_START_S, what="the server's start")
        until((self.home / "server.json").exists, limit_s=_START_S, what="the server's word of where it is")
        return first

    @property
    def pid(self) -> int:
        return self._process.pid

    def processes(self) -> list[psutil.Process]:
        """The server and all that it started."""
        return tree(self._process.pid)

    def stop(self) -> None:
        started = self.processes()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        for process in started:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
