"""What this machine has: cores, memory, accelerators (real by NVML, or declared)."""

import importlib
import logging
import os
import resource
from typing import Any

from freehold.core.devices import Device, parse_declared
from freehold.core.placement import Machine

log = logging.getLogger("freehold.machine")
_FILES = 32_768


def survey(declared: str | None) -> Machine:
    """Look at the machine once. `declared` (FREEHOLD_DEVICES) replaces what NVML would say."""
    devices = parse_declared(declared) if declared else _nvml()
    return Machine(
        cpu=float(len(os.sched_getaffinity(0))),
        memory_mib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        devices=devices,
    )


def raise_file_limit() -> None:
    """Let this process open as many files as it may, up to what the ingress can use: each connection is one or two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _nvml() -> tuple[Device, ...]:
    try:
        nvml: Any = importlib.import_module("pynvml")  # optional: only GPU machines have it
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001 (no driver, no library: a machine without a GPU)
        return ()
    found: list[Device] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        name = str(nvml.nvmlDeviceGetName(handle))
        memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
        found.append(
            Device(id=str(nvml.nvmlDeviceGetUUID(handle)), type=gpu_type(name, memory), index=index, vram_bytes=memory)
        )
    return tuple(found)


def gpu_type(name: str, vram_bytes: int) -> str:
    """The short type of an NVML name: `NVIDIA A100-SXM4-80GB` is `A100-80GB`, `NVIDIA H100 PCIe` is `H100`."""
    short = name.removeprefix("NVIDIA ").removeprefix("Tesla ").split("-")[0].split(" ")[0]
    if short == "A100":
        return "A100-80GB" if vram_bytes > 60 * 2**30 else "A100-40GB"
    return short
