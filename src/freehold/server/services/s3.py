"""One bucket of an object store that speaks S3, by obstore: list, get, put, delete; its errors name the bucket and the fix.

Credentials are those of the mount's secret and no others: nothing is taken from the server's environment.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from freehold.core.errors import Error, InvalidError, ServiceError, StartError
from freehold.core.specs import BucketMount

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3Store

_PIECE_BYTES = 4 * 1024 * 1024
_KEYS = (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("GOOGLE_ACCESS_KEY_ID", "GOOGLE_ACCESS_KEY_SECRET"))
_FIXES = {
    "NoSuchBucket": "make it, or correct bucket_name",
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID in the mount's secret",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY in the mount's secret",
    "AccessDenied": "allow the mount's secret to list, read and write it, or give one that may",
    "PermanentRedirect": "it is in another region: put AWS_REGION into the mount's secret",
    "AuthorizationHeaderMalformed": "it is in another region: put AWS_REGION into the mount's secret",
}


@dataclass(frozen=True, kw_only=True)
class Object:
    """What a listing says of one object; the key is relative to the mount's prefix."""

    key: str
    bytes: int
    etag: str
    modified: float


class Bucket:
    """A mount's bucket. `values` are those of its secret."""

    def __init__(self, mount: BucketMount, values: Mapping[str, str]) -> None:
        self.mount = mount
        self.endpoint = (mount.endpoint or f"https://s3.{_region(mount, values)}.amazonaws.com").rstrip("/")
        self._store = _open(mount, values, self.endpoint)

    def __str__(self) -> str:
        return f"bucket {self.mount.bucket!r} at {self.endpoint}"

    async def objects(self) -> list[Object]:
        """Everything in it."""
        import obstore

        found: list[Object] = []
        try:
            listing = obstore.list(self._store, chunk_size=1000)  # pyright: ignore[reportUnknownMemberType] (its Arrow half)
            async for batch in listing:
                found += [_object(meta) for meta in batch]
        except Exception as error:
            raise self._told(error, "listed") from error
        return found

    async def get(self, key: str) -> AsyncIterator[bytes]:
        import obstore

        try:
            answer = await obstore.get_async(self._store, key)
            async for piece in answer.stream(min_chunk_size=_PIECE_BYTES):
                yield bytes(piece)
        except Exception as error:
            raise self._told(error, f"read ({key!r})") from error

    async def put(self, key: str, file: IO[bytes]) -> str:
        """Write an object, whole or not at all; gives its etag."""
        import obstore

        try:
            done = await obstore.put_async(self._store, key, file)
        except Exception as error:
            raise self._told(error, f"written ({key!r})") from error
        return _etag(done["e_tag"])

    async def delete(self, key: str) -> None:
        import obstore

        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._told(error, f"written (deleting {key!r})") from error

    def _told(self, error: Exception, what: str) -> Exception:
        """What the store's answer means, without what is of use to its library's authors alone."""
        if isinstance(error, (Error, OSError)):
            return error
        text = str(error).partition("\n\nDebug source")[0]
        code, message = (_between(text, "Code"), _between(text, "Message"))
        if code is None:
            cause = re.sub(r"\s+", " ", text).rpartition(" - ")[2][:300]
            if (
                "error sending request" in text
                or "timed out" in text
                or "Server returned non-2xx status code: 5" in text
            ):
                fix = (
                    "check bucket_endpoint_url, and that the store is up"
                    if self.mount.endpoint
                    else "check the network"
                )
                return ServiceError(f"{self} cannot be {what}: {cause}; {fix}")
            return StartError(f"{self} cannot be {what}: {cause}")
        fix = _FIXES.get(code, "the store says why")
        return StartError(f"{self} cannot be {what}: {code}: {message or 'no explanation'}; {fix}")


def check_secret(mount: BucketMount, values: Mapping[str, str], where: str) -> None:
    """InvalidError for a secret that has no credentials."""
    if mount.secret is not None and _credential(values) is None:
        raise InvalidError(
            f"{where}: the secret of bucket {mount.bucket!r} has no AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY: "
            f"it has {', '.join(sorted(values)) or 'no keys'}"
        )


def _open(mount: BucketMount, values: Mapping[str, str], endpoint: str) -> "S3Store":
    from obstore.store import S3Store

    given = _credential(values) if mount.secret is not None else None
    unsigned: S3Credential = {"access_key_id": "", "secret_access_key": "", "expires_at": None}
    credential = given or unsigned  # else obstore looks for one in our environment
    hosted = mount.endpoint is None and not mount.path_style and "." not in mount.bucket
    scheme, _, host = endpoint.partition("://")
    return S3Store(
        mount.bucket,
        prefix=mount.prefix.strip("/") if mount.prefix else None,
        endpoint=f"{scheme}://{mount.bucket}.{host}" if hosted else endpoint,
        region=_region(mount, values),
        virtual_hosted_style_request=hosted,
        skip_signature=given is None,
        request_payer=mount.requester_pays,
        credential_provider=lambda: credential,
        client_options={"allow_http": scheme == "http", "connect_timeout": "10s", "timeout": "3600s"},
        retry_config={"max_retries": 3},
    )


def _credential(values: Mapping[str, str]) -> "S3Credential | None":
    for key, secret in _KEYS:
        if values.get(key) and values.get(secret):
            found: S3Credential = {
                "access_key_id": values[key],
                "secret_access_key": values[secret],
                "token": values.get("AWS_SESSION_TOKEN"),
                "expires_at": None,
            }
            return found
    return None


def _region(mount: BucketMount, values: Mapping[str, str]) -> str:
    found = values.get("AWS_REGION") or values.get("AWS_DEFAULT_REGION")
    return found or ("auto" if mount.endpoint and "r2.cloudflarestorage.com" in mount.endpoint else "us-east-1")


def _object(meta: Any) -> Object:
    return Object(
        key=meta["path"], bytes=meta["size"], etag=_etag(meta["e_tag"]), modified=meta["last_modified"].timestamp()
    )


def _etag(given: str | None) -> str:
    return (given or "").strip('"')


def _between(text: str, tag: str) -> str | None:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return found[1].strip()[:300] if found else None
