"""From a spec to a sandbox that runs: its image, files, volumes, secrets, devices and network."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from freehold.core import listeners
from freehold.core.errors import ResourceExhaustedError
from freehold.core.specs import Mount, SandboxSpec, SecretRef, VolumeMount
from freehold.launchers.contract import Network, Sandbox, SandboxRequest
from freehold.protocol.schemas import TunnelView
from freehold.server.sandboxes.live import Live
from freehold.server.sandboxes.outbound import Allowed, Outbound
from freehold.server.sandboxes.parts import SandboxParts, Secrets
from freehold.server.sandboxes.tunnels import Tunnel

_MEMORY_SHARE = 0.75  # of the machine's, for one that names no limit
_RELAY = "http://127.0.0.1:3128"
_PROXIES = {name: _RELAY for one in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (one, one.lower())} | {
    "NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "localhost,127.0.0.1,::1",
}  # fmt: skip


class Opening:
    """Puts together what a sandbox runs in."""

    def __init__(self, parts: SandboxParts) -> None:
        self._p = parts
        self._ways = parts.home.run / "sb"  # sockets of the proxies
        shutil.rmtree(self._ways, ignore_errors=True)  # of a server that was killed

    async def open(self, live: Live) -> Sandbox:
        """Let its first process run, in its walls and with its tunnels; what was opened before a failure is in `live`."""
        p, spec, workspace = self._p, live.spec, live.row.workspace
        network = self._network(spec)
        shared = frozenset(spec.ports if network == "host" else ())
        await self._refuse_taken(shared)
        devices = p.places.reserve(live.id, spec.resources, shared)
        live.image = await p.images.path(await p.images.admit(workspace, spec.image))
        live.row = live.row._replace(image=live.image.name)  # as the server resolved it
        image_env, workdir = await p.launcher.sandbox_env(live.image)
        live.workdir = spec.workdir or workdir or "/root"
        walls = _PROXIES if spec.walled and not spec.block_network else {}
        cards = {"CUDA_VISIBLE_DEVICES": ",".join(str(d.index) for d in devices if not d.simulated)} if devices else {}
        secret = await self.secrets(workspace, spec.secrets)
        live.env = {**image_env, **cards, **walls, "MODAL_SANDBOX_ID": live.id, **secret, **spec.env}
        sockets = await self._open_outbound(live)
        limit = spec.resources.memory_limit_mib or int(p.places.machine.memory_mib * _MEMORY_SHARE)
        live.held = await p.launcher.open_sandbox(
            SandboxRequest(
                sandbox=live.id, image=live.image, files=await self._unpacked(spec.mounts), volumes=await self._mounts(workspace, spec.volumes),
                network=network, sockets=sockets, devices=any(not d.simulated for d in devices), workdir=live.workdir,
                cpu_limit=spec.resources.cpu_limit, memory_limit_mib=limit,
            )
        )  # fmt: skip
        await self._open_tunnels(live, live.held)
        return live.held

    async def secrets(self, workspace: str, refs: Sequence[SecretRef]) -> dict[str, str]:
        """The variables that secrets give."""
        return await variables(self._p.secrets, workspace, refs, "sandbox")

    async def _unpacked(self, mounts: Sequence[Mount]) -> tuple[tuple[Path, str], ...]:
        return tuple([(await self._p.files.unpacked(m.digest), m.remote_path) for m in mounts])

    async def _mounts(self, workspace: str, volumes: Sequence[VolumeMount]) -> tuple[tuple[Path, str, bool], ...]:
        found = [(v, await self._host_path(workspace, v)) for v in volumes]
        return tuple((path, v.path, v.read_only) for v, path in found)

    async def _host_path(self, workspace: str, volume: VolumeMount) -> Path:
        create = volume.create_if_missing or volume.ephemeral
        return await self._p.volumes.host_path(workspace, volume.name, create=create, sub_path=volume.sub_path)

    async def _open_outbound(self, live: Live) -> Path | None:
        spec = live.spec
        if not spec.walled or spec.block_network:
            return None
        folder = self._ways / live.id[-12:]
        live.outbound = Outbound(Allowed.of(spec.cidrs, spec.domains), folder)
        await live.outbound.open()
        return folder

    async def _open_tunnels(self, live: Live, held: Sandbox) -> None:
        for port in live.spec.ports:
            tunnel = Tunnel(held, port)
            live.ways.append(tunnel)
            live.tunnels[port] = TunnelView(port=port, host="127.0.0.1", host_port=await tunnel.open())

    async def _refuse_taken(self, ports: frozenset[int]) -> None:
        """Ports of the machine's that a sandbox without a network of its own could not serve on."""
        for port in sorted(ports):
            who = self._p.places.holder(port) or await asyncio.to_thread(listeners.holder, port)
            if who is not None:
                raise ResourceExhaustedError(
                    f"port {port} is held by {who}: sandboxes with ports share the machine's here, one a port "
                    f"({self._p.launcher.lacks_network()}); end that one, or take another port"
                )

    def _network(self, spec: SandboxSpec) -> Network:
        if spec.walled:
            return "none"
        return "own" if spec.ports and not self._p.launcher.lacks_network() else "host"


async def variables(secrets: Secrets, workspace: str, refs: Sequence[SecretRef], where: str) -> dict[str, str]:
    """The variables that secrets give; `where` is who asks, for messages."""
    env: dict[str, str] = {}
    for ref in refs:
        if ref.values is not None:
            env |= ref.values
        else:
            kept = await secrets.admit(workspace, ref, where)
            env |= await secrets.values(workspace, kept.sealed or kept.name or "")
    return env
