"""Accelerators as values: what a spec asks for, what a machine has, and which of them an instance gets."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from freehold.core.errors import InvalidError

# GiB of memory by type, as sold; used for declared devices and for "type-SIZE" spellings
VRAM_GIB = {
    "T4": 16, "L4": 24, "A10G": 24, "A10": 24, "L40S": 48, "A100": 40, "A100-40GB": 40, "A100-80GB": 80,
    "H100": 80, "H200": 141, "B200": 180, "RTX-PRO-6000": 96,
}  # fmt: skip
GPUS_MAX = 16  # of one instance
_GPU = re.compile(r"([A-Za-z][A-Za-z0-9-]*)!?(?::(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Device:
    id: str  # UUID of a real one, `sim-0` of a declared one
    type: str  # as in VRAM_GIB where known
    index: int
    vram_bytes: int
    simulated: bool = False


@dataclass(frozen=True)
class GpuRequest:
    type: str  # upper case; "ANY" takes what there is
    count: int


def parse_gpu(text: str) -> GpuRequest:
    """Parse `A10G`, `A100-80GB:2`, `any`; raise InvalidError on anything else."""
    match = _GPU.fullmatch(text.strip())
    count = int(match[2] or 1) if match else 0
    if match is None or not 1 <= count <= GPUS_MAX:
        msg = f'gpu={text!r} is not of the form "TYPE" or "TYPE:COUNT" with a count of 1 to {GPUS_MAX}, such as "A10G" or "A100-80GB:2"'
        raise InvalidError(msg)
    return GpuRequest(match[1].upper(), count)


def parse_declared(text: str) -> tuple[Device, ...]:
    """Parse FREEHOLD_DEVICES, such as `A10G:2,T4:1`, into simulated devices."""
    devices: list[Device] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        try:
            request = parse_gpu(part)
        except InvalidError:
            msg = f'FREEHOLD_DEVICES={text!r}: {part!r} is not of the form "TYPE" or "TYPE:COUNT"; write for example "A10G:2,T4:1"'
            raise InvalidError(msg) from None
        size = VRAM_GIB.get(request.type, 16) * 2**30
        devices += [
            Device(
                id=f"sim-{len(devices) + n}", type=request.type, index=len(devices) + n, vram_bytes=size, simulated=True
            )
            for n in range(request.count)
        ]
    return tuple(devices)


def choose(wanted: Sequence[str], devices: Sequence[Device], taken: Collection[str]) -> tuple[Device, ...] | None:
    """Return devices for the first alternative of `wanted` that can be had now; None when none can."""
    free = [d for d in devices if d.id not in taken]
    for text in wanted:
        request = parse_gpu(text)
        fitting = [d for d in free if _fits(request.type, d)]
        if len(fitting) >= request.count:
            return tuple(fitting[: request.count])
    return None


def possible(wanted: Sequence[str], devices: Sequence[Device]) -> bool:
    """Tell whether some alternative could be had on an empty machine."""
    return choose(wanted, devices, ()) is not None


def _fits(wanted: str, device: Device) -> bool:
    have = device.type.upper()
    return wanted in ("ANY", have) or have.startswith(f"{wanted}-")
