"""HTTP load on one URL, closed loop: wrk where it is installed, else a small asyncio client (which then is the ceiling)."""

import asyncio
import re
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

_WRK = re.compile(
    r"Latency Distribution\s+50%\s+([\d.]+)(us|ms|s).*?99%\s+([\d.]+)(us|ms|s).*?(\d+) requests in ([\d.]+)s", re.DOTALL
)
_FAILED = re.compile(
    r"Non-2xx or 3xx responses: (\d+)|Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)"
)
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Load:
    """What came of it; latencies in milliseconds."""

    requests: int
    failed: int
    rps: float
    p50_ms: float
    p99_ms: float


def tool() -> str:
    return "wrk" if shutil.which("wrk") else "asyncio"


def load(url: str, *, connections: int, seconds: int) -> Load:
    """GET a URL over so many connections, each asking again as soon as it is answered."""
    return _wrk(url, connections, seconds) if tool() == "wrk" else asyncio.run(_own(url, connections, seconds))


def _wrk(url: str, connections: int, seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    found = _WRK.search(said)
    if found is None:
        raise RuntimeError(f"wrk said nothing of use:\n{said}")
    p50, p50_unit, p99, p99_unit, requests, took = found.groups()
    failed = sum(int(n) for match in _FAILED.finditer(said) for n in match.groups() if n)
    count = int(requests)
    return Load(count, failed, count / float(took), float(p50) * _MS[p50_unit], float(p99) * _MS[p99_unit])


async def _own(url: str, connections: int, seconds: int) -> Load:
    stop, took, failed = time.perf_counter() + seconds, list[float](), list[bytes]()
    begun = time.perf_counter()
    await asyncio.gather(*(_connection(url, stop, took, failed) for _ in range(connections)))
    wall, ordered = time.perf_counter() - begun, sorted(took)
    return Load(len(took), len(failed), len(took) / wall, statistics.median(took), ordered[int(0.99 * len(ordered))])


async def _connection(url: str, stop: float, took: list[float], failed: list[bytes]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    while time.perf_counter() < stop:
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        took.append(1e3 * (time.perf_counter() - begun))
        if not head.startswith(b"HTTP/1.1 200"):
            failed.append(head)
    writer.close()
