"""CloudBucketMount: a bucket of an object store, mounted as a folder."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from freehold.core.errors import InvalidError, UnimplementedError
from freehold.core.specs import BucketMount
from freehold.sdk.secret import Secret


@dataclass
class CloudBucketMount:
    """Of S3, or of a store that speaks it: give that one's `bucket_endpoint_url`. Goes into `volumes={"/path": it}`.

    `key_prefix` ends in "/" and gives the keys beneath it alone. `secret` has AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and,
    where the store wants it, AWS_REGION; without one, requests are not signed.
    """

    bucket_name: str
    bucket_endpoint_url: str | None = None
    key_prefix: str | None = None
    secret: Secret | None = None
    oidc_auth_role_arn: str | None = None
    read_only: bool = False
    requester_pays: bool = False
    force_path_style: bool = False

    def __post_init__(self) -> None:
        where = f"CloudBucketMount({self.bucket_name!r})"
        if not self.bucket_name or "/" in self.bucket_name:
            msg = f"{where}: a bucket's name has no '/': keys below a folder are chosen with key_prefix='folder/'"
            raise InvalidError(msg)
        if self.bucket_endpoint_url is not None and urlsplit(self.bucket_endpoint_url).scheme not in ("http", "https"):
            msg = f"{where}: bucket_endpoint_url={self.bucket_endpoint_url!r} is no URL: give one such as 'https://s3.example.com'"
            raise InvalidError(msg)
        if self.key_prefix and (not self.key_prefix.endswith("/") or self.key_prefix.startswith("/")):
            msg = f"{where}: key_prefix={self.key_prefix!r} must end in '/', and not begin with it"
            raise InvalidError(msg)
        if self.secret is not None and not isinstance(self.secret, Secret):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"{where}: secret={self.secret!r} is not a freehold.Secret: give freehold.Secret.from_name(...)"
            raise InvalidError(msg)
        if self.requester_pays and self.secret is None:
            msg = f"{where}: requester_pays wants a secret: somebody has to be named who pays"
            raise InvalidError(msg)
        if self.oidc_auth_role_arn:
            msg = f"{where}: oidc_auth_role_arn={self.oidc_auth_role_arn!r} cannot be had: no identity provider stands behind this platform; give a secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise UnimplementedError(msg)

    def mount(self, path: str) -> BucketMount:
        """How a function's spec names it."""
        return BucketMount(
            path=path, bucket=self.bucket_name, endpoint=self.bucket_endpoint_url, prefix=self.key_prefix or None,
            secret=None if self.secret is None else self.secret.spec, read_only=self.read_only,
            requester_pays=self.requester_pays, path_style=self.force_path_style,
        )  # fmt: skip
