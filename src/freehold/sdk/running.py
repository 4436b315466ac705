"""Bringing an app up: upload its files, build its images, create it on the server, and take it down again."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, Protocol

import msgspec

from freehold.core.digests import image_digest
from freehold.core.errors import ImageBuildError, NotFoundError
from freehold.core.ids import is_id
from freehold.core.specs import AppSpec, FunctionSpec, ImageSpec
from freehold.core.states import AppState
from freehold.protocol import schemas
from freehold.protocol.errors import from_wire
from freehold.sdk import client
from freehold.sdk.client import Client
from freehold.sdk.http import Api, segment
from freehold.sdk.source import Bundles

Mode = Literal["ephemeral", "detached", "deploy"]
_LAST_LINES = 20


class Progress(Protocol):
    """What wants to be told while an app comes up; the CLI has one."""

    @property
    def keeps_log(self) -> bool:
        """Whether the lines of a build stay where they were shown: the error of a failed one then need not repeat the last."""
        ...

    def uploading(self, files: int, size_bytes: int) -> None: ...
    def image_log(self, digest: str, line: str) -> None: ...
    def image_ready(self, digest: str, image: "schemas.ImageView") -> None: ...
    def created(self, app: "schemas.AppHandle") -> None: ...


class Silent:
    """A Progress that says nothing."""

    keeps_log = False

    def uploading(self, files: int, size_bytes: int) -> None: ...
    def image_log(self, digest: str, line: str) -> None: ...
    def image_ready(self, digest: str, image: "schemas.ImageView") -> None: ...
    def created(self, app: "schemas.AppHandle") -> None: ...


def create(
    link: Client, spec: AppSpec, bundles: Bundles, *, mode: Mode, progress: Progress, **more: Any
) -> "schemas.AppHandle":
    """Check, upload, build, create. `more`: other fields of AppRequest. Blocks."""
    link.start()  # before the app is there, so that the server sees who holds it
    api = link.api
    if spec.functions:
        api.act("POST", "/v1/apps/check", _bare(spec))
    upload(api, bundles, progress)
    build_images(api, (f.image for f in spec.functions), progress)
    request = schemas.AppRequest(spec=spec, mode=mode, client=link.name, **more)
    handle = api.send("POST", "/v1/apps", request, schemas.AppHandle)
    progress.created(handle)
    return handle


def _bare(spec: AppSpec) -> AppSpec:
    """The app without what need not be there to check it: code, files, recipes, and secrets given by their values."""
    return replace(spec, functions=tuple(_bare_function(f) for f in spec.functions))


def _bare_function(spec: FunctionSpec) -> FunctionSpec:
    return replace(
        spec, serialized=None, image=ImageSpec(), mounts=(), secrets=tuple(s for s in spec.secrets if s.values is None),
        buckets=tuple(replace(b, secret=None) if b.secret is not None and b.secret.values is not None else b for b in spec.buckets),
    )  # fmt: skip


def stop(api: Api, app_id: str) -> None:
    api.act("POST", f"/v1/apps/{segment(app_id)}/stop")


def view(ref: str) -> "schemas.AppView":
    """An app by name or id. Raises NotFoundError."""
    return client.current().api.get(f"/v1/apps/{segment(ref)}", schemas.AppView)


def find(ref: str) -> "schemas.AppHandle":
    """A deployed app by name, or any by its id. Raises NotFoundError."""
    found = view(ref)
    if not is_id(ref, "ap") and found.state is not AppState.DEPLOYED:
        fix = f"deploy it, or make an empty one with App.lookup({ref!r}, create_if_missing=True)"
        msg = f"app {ref!r} is not deployed: its newest one is {found.state.value}; {fix}"
        raise NotFoundError(msg)
    return schemas.AppHandle(id=found.id, name=found.name, version=found.version, url="", functions={})


def create_if_missing(name: str) -> "schemas.AppHandle":
    """The deployed app of this name, or a new one without functions."""
    now = client.current()
    request = schemas.AppRequest(spec=AppSpec(name=name), mode="deploy", client=now.name, if_missing=True)
    return now.api.send("POST", "/v1/apps", request, schemas.AppHandle)


def tag(app_id: str, tags: dict[str, str]) -> None:
    client.current().api.act("PUT", f"/v1/apps/{segment(app_id)}/tags", schemas.TagsRequest(tags=tags))


def upload(api: Api, bundles: Bundles, progress: Progress) -> None:
    """Send the tars that the server does not have."""
    if not bundles.tars:
        return
    missing = api.send(
        "POST", "/v1/blobs/missing", schemas.Digests(digests=list(bundles.tars)), schemas.Digests
    ).digests
    if missing:
        progress.uploading(len(missing), sum(bundles.sizes[d] for d in missing))
    for digest in missing:
        tar = bundles.tars[digest]
        tar.seek(0)
        api.upload(f"/v1/blobs/{digest}", tar, bundles.sizes[digest])


def build_images(api: Api, images: Iterable[ImageSpec], progress: Progress) -> None:
    """Build each distinct image, several at once; the server answers at once for those it has."""
    distinct = {image_digest(spec): spec for spec in images}
    failures: list[BaseException] = []

    def build(digest: str, spec: ImageSpec) -> None:
        try:
            progress.image_ready(digest, _build(api, digest, spec, progress))
        except BaseException as error:  # noqa: BLE001 (raised below, in the caller's thread)
            failures.append(error)

    threads = [threading.Thread(target=build, args=pair, daemon=True) for pair in distinct.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def build(api: Api, spec: ImageSpec, bundles: Bundles) -> "schemas.ImageView":
    """Build one image outside of an app. Blocks."""
    upload(api, bundles, Silent())
    return _build(api, image_digest(spec), spec, Silent())


def image_log(api: Api, digest: str) -> list[str]:
    """The lines of an image's build."""
    events: Iterable[dict[str, Any]] = (
        msgspec.json.decode(line) for line in api.lines("GET", f"/v1/images/{digest}/log")
    )
    return [str(event["log"]) for event in events if "log" in event]


def _build(api: Api, digest: str, spec: ImageSpec, progress: Progress) -> "schemas.ImageView":
    last: list[str] = []
    for line in api.lines("POST", "/v1/images", schemas.ImageRequest(spec=spec)):
        event: dict[str, Any] = msgspec.json.decode(line)
        if "log" in event:
            last = [*last, str(event["log"])][-_LAST_LINES:]
            progress.image_log(digest, str(event["log"]))
        elif "error" in event:
            error = event["error"]
            message: str = error.get("message", "")
            if last and progress.keeps_log:
                message = message.partition("\n")[0]
            raise from_wire(error.get("code", "failed_precondition"), message, error.get("type", "ImageBuildError"))
        elif "image" in event:
            return msgspec.convert(event["image"], schemas.ImageView)
    text = "\n".join(last)
    msg = f"the server ended the build of image {digest[:12]} without a result; its last lines:\n{text}"
    raise ImageBuildError(msg)
