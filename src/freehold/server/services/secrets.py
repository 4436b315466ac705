"""Secrets: sealed at rest with AES-GCM under the home's key; values go to instances and nowhere else, logs included."""

import asyncio
import hashlib
import hmac
import json
import logging
import os
import re
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from freehold.core.clock import Clock, SystemClock
from freehold.core.errors import AlreadyExistsError, DataLossError, InvalidError, NotFoundError
from freehold.core.home import Home
from freehold.core.ids import is_id, new_id
from freehold.core.names import check_name
from freehold.core.specs import SecretRef
from freehold.core.suggest import did_you_mean
from freehold.protocol.schemas import SecretView
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import SecretRow

_log = logging.getLogger("freehold.secrets")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_MAX_KEYS = 500
_MAX_VALUE_BYTES = 120 * 1024  # the kernel takes 128 KiB an environment variable, its name included
_KEY_BYTES, _NONCE_BYTES, _FORMAT = 32, 12, b"\x01"


class Secrets:
    """Named secrets, and those given in a program, which have an id only."""

    def __init__(self, home: Home, store: Store, clock: Clock | None = None) -> None:
        key = load_key(home.key)
        self.signing_key = _derive(key, "sign sessions")  # for cookies and links
        self._digest_key = _derive(key, "find equal secrets")
        self._cipher = AESGCM(_derive(key, "seal secrets"))
        self._store, self._reads = store, Reads(store)
        self._clock = clock or SystemClock()
        self._changing = asyncio.Lock()  # an update reads what it changes

    async def put(self, workspace: str, name: str, values: dict[str, str], *, force: bool = False) -> SecretView:
        """Create a secret; with `force`, replace all values of one of that name."""
        _check_name(name)
        if not values:
            raise InvalidError(f"secret {name!r} has no keys; give at least one KEY=VALUE")
        _check_values(values)
        async with self._changing:
            old = await self._reads.secret(workspace, name)
            if old is not None and not force:
                raise AlreadyExistsError(f"there is a secret {name!r} already; use force (--force) to replace it")
            row = self._row(workspace, name, values, old)
            await self._store.write(writes.put_secrets([row]))
        return _view(row)

    async def update(self, workspace: str, name: str, values: dict[str, str]) -> SecretView:
        """Add keys, or give them other values; the rest stays."""
        _check_name(name)
        async with self._changing:
            old = await self._reads.secret(workspace, name)
            if old is None:
                raise await self._not_found(workspace, name)
            merged = self._unseal(old) | values
            _check_values(merged)
            row = self._row(workspace, name, merged, old)
            await self._store.write(writes.put_secrets([row]))
        return _view(row)

    async def get(self, workspace: str, name: str) -> SecretView:
        _check_name(name)
        row = await self._reads.secret(workspace, name)
        if row is None:
            raise await self._not_found(workspace, name)
        return _view(row)

    async def list(self, workspace: str) -> list[SecretView]:
        return [_view(row) for row in await self._reads.secrets(workspace)]

    async def delete(self, workspace: str, name: str) -> None:
        if await self._reads.secret(workspace, name) is None:
            raise await self._not_found(workspace, name)
        await self._store.write(writes.delete_secret(workspace, name))

    async def delete_all(self, workspace: str) -> None:
        """Delete all named secrets of a workspace."""
        for row in await self._reads.secrets(workspace):
            await self._store.write(writes.delete_secret(workspace, row.name or ""))

    async def _not_found(self, workspace: str, ref: str) -> NotFoundError:
        known = (row.name for row in await self._reads.secrets(workspace) if row.name)
        hint = did_you_mean(ref, known) or f"; make it with `freehold secret create {ref} KEY=VALUE`"
        return NotFoundError(f"there is no secret {ref!r}{hint}")

    async def values(self, workspace: str, ref: str) -> dict[str, str]:
        """The values of a secret by name, or by the id that `seal` gave."""
        row = await self._reads.secret(workspace, ref)
        if row is None:
            raise await self._not_found(workspace, ref)
        return self._unseal(row)

    async def seal(self, workspace: str, values: dict[str, str]) -> str:
        """Keep values that were given in a program; equal values get the same id."""
        _check_values(values)
        row = self._row(workspace, None, values, None)
        if (known := await self._reads.secret_by_digest(workspace, row.digest)) is not None:
            return known.id
        try:
            await self._store.write(writes.put_secrets([row]))
        except AlreadyExistsError:  # sealed at the same time by another
            if (known := await self._reads.secret_by_digest(workspace, row.digest)) is None:
                raise
            return known.id
        return row.id

    async def admit(self, workspace: str, ref: SecretRef, where: str) -> SecretRef:
        """The reference as it may be kept: values given in a program sealed, the keys that a named one must have found."""
        if ref.values is not None:
            return SecretRef(sealed=await self.seal(workspace, ref.values))
        await self.check(workspace, ref, where)
        return ref

    async def check(self, workspace: str, ref: SecretRef, where: str) -> None:
        """Raise what `admit` would; nothing is sealed."""
        if ref.values is not None:
            _check_values(ref.values)
            return
        values = await self.values(workspace, ref.sealed or ref.name or "")
        lacking = [k for k in ref.required_keys if k not in values]
        if lacking:
            raise InvalidError(
                f"{where}: secret {ref.name!r} has no key {lacking[0]!r}; add it with `freehold secret create {ref.name} {lacking[0]}=… --force`"
            )

    def _row(self, workspace: str, name: str | None, values: dict[str, str], old: SecretRow | None) -> SecretRow:
        now = self._clock.now()
        secret = old.id if old is not None else new_id("st")
        plain = json.dumps(values, sort_keys=True).encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _FORMAT + nonce + self._cipher.encrypt(nonce, plain, _bound_to(workspace, secret))
        digest = hmac.new(self._digest_key, workspace.encode() + b"\0" + plain, hashlib.sha256).hexdigest()
        return SecretRow(
            secret, workspace, name, digest, tuple(sorted(values)), old.created if old else now, now, sealed
        )

    def _unseal(self, row: SecretRow) -> dict[str, str]:
        nonce, sealed = row.sealed[1 : 1 + _NONCE_BYTES], row.sealed[1 + _NONCE_BYTES :]
        try:
            return json.loads(self._cipher.decrypt(nonce, sealed, _bound_to(row.workspace, row.id)))
        except (InvalidTag, ValueError):
            fix = "the key file was exchanged, or the database is damaged; restore both from one backup, or put the secret again"
            raise DataLossError(f"secret {row.name or row.id!r} cannot be opened: {fix}") from None


def load_key(path: Path) -> bytes:
    """The home's key, made on first use; once, also when two processes come at the same time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise DataLossError(
            f"{path} is not a key of {_KEY_BYTES} bytes; restore it from a backup (without it no secret can be opened)"
        )
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        _log.warning("key_was_readable_by_others", extra={"path": str(path)})
        path.chmod(0o600)
    return key


def _make_key(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, os.urandom(_KEY_BYTES))
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        path.hardlink_to(draft)
    except FileExistsError:  # another process was first
        _log.debug("key_made_elsewhere")
    finally:
        draft.unlink()


def _derive(key: bytes, purpose: str) -> bytes:
    return hmac.new(key, f"freehold: {purpose}".encode(), hashlib.sha256).digest()


def _bound_to(workspace: str, secret: str) -> bytes:
    """What is sealed for one secret opens for no other."""
    return f"{workspace}\0{secret}".encode()


def _check_name(name: str) -> None:
    check_name(name, "a secret")
    if is_id(name, "st"):
        raise InvalidError(f"{name!r} cannot name a secret: it has the form of an id; give another")


def _check_values(values: dict[str, str]) -> None:
    """Refuse what cannot be an environment variable; the message never holds a value."""
    if len(values) > _MAX_KEYS:
        raise InvalidError(f"a secret holds up to {_MAX_KEYS} keys, not {len(values)}")
    for key, value in values.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(
                f"{key!r} cannot be a secret's key: it becomes an environment variable; use letters, digits and '_'"
            )
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"the value of {key!r} is not text but {type(value).__name__}; give it as a string")
        if "\0" in value or len(value.encode(errors="surrogatepass")) > _MAX_VALUE_BYTES:
            raise InvalidError(
                f"the value of {key!r} holds a NUL, or is over {_MAX_VALUE_BYTES // 1024} KiB; put it into a volume as a file"
            )


def _view(row: SecretRow) -> SecretView:
    return SecretView(name=row.name or row.id, keys=row.keys, created=row.created, updated=row.updated, id=row.id)
