"""The control API as the commands use it: one place that knows its paths."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from freehold.core.ids import is_id
from freehold.protocol import schemas
from freehold.protocol.stored import DictView, QueueView
from freehold.sdk.config import discover
from freehold.sdk.http import Api, Query, Readable, segment
from freehold.sdk.tail import log_lines

T = TypeVar("T")


def connect() -> Api:
    """The API of the server that the environment or the home names."""
    return Api(discover())


def status(api: Api) -> "schemas.StatusView":
    return api.get("/v1/status", schemas.StatusView)


def sign_in_link(api: Api, url: str) -> str:
    """Return a link that opens the dashboard once, within ten minutes."""
    code = api.send("POST", "/v1/login/codes", None, dict[str, Any])["code"]
    return f"{url}/login?code={code}"


# ---- apps


def apps(api: Api) -> "list[schemas.AppView]":
    return api.get("/v1/apps", list[schemas.AppView])


def app(api: Api, ref: str) -> "schemas.AppView":
    return api.get(f"/v1/apps/{segment(ref)}", schemas.AppView)


def stop_app(api: Api, ref: str) -> None:
    api.act("POST", f"/v1/apps/{segment(ref)}/stop")


def history(api: Api, ref: str) -> "list[schemas.VersionView]":
    return api.get(f"/v1/apps/{segment(ref)}/history", list[schemas.VersionView])


def rollback(api: Api, ref: str, version: int | None) -> "schemas.AppHandle":
    return api.send(
        "POST", f"/v1/apps/{segment(ref)}/rollback", schemas.RollbackRequest(version=version), schemas.AppHandle
    )


logs = log_lines


# ---- calls and instances


def calls(api: Api, query: Query) -> "list[schemas.CallView]":
    return api.get("/v1/calls", list[schemas.CallView], query)


def call(api: Api, call_id: str) -> "schemas.CallDetail":
    return api.get(f"/v1/calls/{segment(call_id)}", schemas.CallDetail)


def cancel(api: Api, call_id: str, *, terminate: bool) -> None:
    api.act("POST", f"/v1/calls/{segment(call_id)}/cancel{'?terminate=true' if terminate else ''}")


def instances(api: Api, query: Query) -> "list[schemas.InstanceView]":
    return api.get("/v1/instances", list[schemas.InstanceView], query)


def instance(api: Api, instance_id: str) -> "schemas.InstanceView":
    return api.get(f"/v1/instances/{segment(instance_id)}", schemas.InstanceView)


def stop_instance(api: Api, instance_id: str, *, graceful: bool = True) -> None:
    api.act("POST", f"/v1/instances/{segment(instance_id)}/stop{'' if graceful else '?graceful=false'}")


# ---- containers: instances and sandboxes


def sandboxes(api: Api, query: Query) -> "list[schemas.SandboxView]":
    return api.get("/v1/sandboxes", list[schemas.SandboxView], query)


def container(api: Api, ref: str) -> "schemas.InstanceView | schemas.SandboxView":
    """The instance or the sandbox of this id."""
    kind: Any = schemas.SandboxView if is_id(ref, "sb") else schemas.InstanceView
    return api.get(container_path(ref), kind)


def container_path(ref: str) -> str:
    return f"/v1/{'sandboxes' if is_id(ref, 'sb') else 'instances'}/{segment(ref)}"


def terminate(api: Api, sandbox: str) -> None:
    api.act("POST", f"/v1/sandboxes/{segment(sandbox)}/terminate", patient=True)


def run_command(api: Api, place: str, request: "schemas.CommandRequest") -> "schemas.CommandView":
    return Api(api.target, timeout_s=None).send("POST", f"{place}/commands", request, schemas.CommandView)


# ---- images


def images(api: Api) -> "list[schemas.ImageView]":
    return api.get("/v1/images", list[schemas.ImageView])


def image(api: Api, ref: str) -> "schemas.ImageView":
    return api.get(f"/v1/images/{segment(ref)}", schemas.ImageView)


def image_log(api: Api, ref: str) -> Iterator[str]:
    """Lines of its build, as they come while it goes on."""
    for line in api.lines("GET", f"/v1/images/{segment(ref)}/log"):
        event = msgspec.json.decode(line, type=dict[str, Any])
        if "log" in event:
            yield str(event["log"])


def delete_image(api: Api, ref: str) -> None:
    api.act("DELETE", f"/v1/images/{segment(ref)}", patient=True)


def prune_images(api: Api, unused_s: float) -> "schemas.PruneResult":
    return Api(api.target, timeout_s=None).send(
        "POST", "/v1/images/prune", schemas.PruneRequest(unused_s=unused_s), schemas.PruneResult
    )


# ---- environments


def environments(api: Api) -> "list[schemas.EnvironmentView]":
    return api.get("/v1/environments", list[schemas.EnvironmentView])


def create_environment(api: Api, name: str) -> None:
    api.act("PUT", f"/v1/environments/{segment(name)}")


def delete_environment(api: Api, name: str) -> None:
    api.act("DELETE", f"/v1/environments/{segment(name)}")


# ---- secrets and volumes


def secrets(api: Api) -> "list[schemas.SecretView]":
    return api.get("/v1/secrets", list[schemas.SecretView])


def put_secret(api: Api, name: str, values: dict[str, str], *, force: bool) -> None:
    api.act("PUT", f"/v1/secrets/{segment(name)}", schemas.SecretRequest(values=values, force=force))


def delete_secret(api: Api, name: str) -> None:
    api.act("DELETE", f"/v1/secrets/{segment(name)}")


def volumes(api: Api) -> "list[schemas.VolumeView]":
    return api.get("/v1/volumes", list[schemas.VolumeView])


def create_volume(api: Api, name: str) -> None:
    api.act("PUT", f"/v1/volumes/{segment(name)}")


def rename_volume(api: Api, name: str, new: str) -> None:
    api.act("POST", f"/v1/volumes/{segment(name)}/rename", schemas.RenameRequest(name=new))


def copy_files(api: Api, volume: str, sources: Sequence[str], target: str, *, recursive: bool) -> None:
    body = schemas.CopyRequest(sources=tuple(sources), target=target, recursive=recursive)
    api.act("POST", f"/v1/volumes/{segment(volume)}/copy", body, patient=True)


def delete_volume(api: Api, name: str) -> None:
    api.act("DELETE", f"/v1/volumes/{segment(name)}")


def dicts(api: Api) -> list[DictView]:
    return api.get("/v1/dicts", list[DictView])


def queues(api: Api) -> list[QueueView]:
    return api.get("/v1/queues", list[QueueView])


def files(api: Api, volume: str, path: str, *, recursive: bool = False) -> "list[schemas.FileView]":
    query: dict[str, Any] = {"path": path.strip("/"), "recursive": recursive}
    return api.get(f"/v1/volumes/{segment(volume)}/list", list[schemas.FileView], query)


def put_file(
    api: Api, volume: str, content: Readable, size: int, remote: str, *, force: bool, executable: bool = False
) -> None:
    api.upload(_file(volume, remote), content, size, {"force": force, "executable": executable})


def get_file(api: Api, volume: str, remote: str) -> Iterable[bytes]:
    return api.download(_file(volume, remote))


def remove_file(api: Api, volume: str, remote: str, *, recursive: bool) -> None:
    api.act("DELETE", f"{_file(volume, remote)}?recursive={str(recursive).lower()}")


def _file(volume: str, path: str) -> str:
    return f"/v1/volumes/{segment(volume)}/files/{quote(path.strip('/'), safe='/')}"
