"""Buckets as programs declare them."""

from pathlib import PurePosixPath
from typing import Any

import pytest

import freehold
from freehold.core.errors import InvalidError, UnimplementedError
from freehold.core.specs import BucketMount, FunctionSpec, SecretRef
from freehold.sdk import variants
from freehold.sdk.source import Bundles


def job() -> None: ...


def spec(app: freehold.App) -> FunctionSpec:
    with Bundles() as bundles:
        return app.spec(bundles).functions[0]


def test_a_bucket_goes_where_a_volume_goes() -> None:
    bucket = freehold.CloudBucketMount(
        "data", "http://127.0.0.1:9000", key_prefix="in/", secret=freehold.Secret.from_name("aws"), read_only=True
    )
    volume = freehold.Volume.from_name("v")
    app = freehold.App(volumes={"/shared": bucket})
    app.function(
        volumes={PurePosixPath("/mine"): freehold.CloudBucketMount("other"), "/v": volume}, include_source=False
    )(job)
    made = spec(app)
    assert made.volumes == (volume.mount("/v"),)
    assert made.buckets == (
        BucketMount(path="/mine", bucket="other"),
        BucketMount(
            path="/shared", bucket="data", endpoint="http://127.0.0.1:9000", prefix="in/", secret=SecretRef(name="aws"), read_only=True
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bucket_name": "a/b"}, "key_prefix='folder/'"),
        ({"bucket_name": ""}, "has no '/'"),
        ({"bucket_endpoint_url": "s3.example.com"}, "is no URL"),
        ({"key_prefix": "a"}, "must end in '/'"),
        ({"key_prefix": "/a/"}, "must end in '/'"),
        ({"secret": "aws"}, "is not a freehold.Secret"),
        ({"requester_pays": True}, "wants a secret"),
    ],
)
def test_what_cannot_be(options: Any, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        freehold.CloudBucketMount(**({"bucket_name": "data"} | options))


def test_no_identity_provider_stands_behind_it() -> None:
    with pytest.raises(UnimplementedError, match="give a secret"):
        freehold.CloudBucketMount("data", oidc_auth_role_arn="arn:aws:iam::1:role/x")


def test_overrides_replace_buckets_with_the_volumes() -> None:
    own = freehold.Secret.from_dict({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    given = variants.options({"volumes": {"/b": freehold.CloudBucketMount("data", secret=own)}}, "with_options")
    assert given.buckets is not None
    assert ([b.bucket for b in given.buckets], given.volumes) == (["data"], ())
    assert variants.Variant(given).is_open
    app = freehold.App()
    app.function(volumes={"/v": freehold.Volume.from_name("v")}, include_source=False)(job)
    applied = given.applied(spec(app))
    assert (applied.volumes, [b.path for b in applied.buckets]) == ((), ["/b"])
    assert variants.options({"volumes": {}}, "with_options").buckets is None
