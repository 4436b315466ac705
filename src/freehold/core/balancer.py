"""Which instance a session's requests go to. Pure: the pool keeps what was chosen and carries it out."""

from collections.abc import Iterable
from hashlib import blake2b


def rendezvous(session: str, instances: Iterable[str]) -> str | None:
    """The instance of a session by highest random weight (Thaler and Ravishankar, 1998): whoever asks finds the same one, and when an
    instance goes only its own sessions move. None when there is no instance.
    """
    return max(instances, key=lambda instance: (_weight(session, instance), instance), default=None)


def _weight(session: str, instance: str) -> bytes:
    return blake2b(f"{session}\0{instance}".encode(), digest_size=8).digest()
