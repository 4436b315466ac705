"""The OpenAPI document, made when it is first asked for: our routes, and each deployed function with its own schema."""

import html
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, Response

from freehold.core.specs import FunctionSpec
from freehold.protocol.schemas import ErrorBody
from freehold.server.api.exchange import answer, services, workspace

router = APIRouter(tags=["platform"])
F = TypeVar("F", bound=Callable[..., Any])
MSGPACK, _JSON = "application/msgpack", "application/json"
_OWN_FACES = ("asgi_app", "wsgi_app", "web_server")  # what they return is no JSON
_REF = "#/components/schemas/{name}"


def describe(*, body: Any = None, answer: Any = None, media: str = _JSON) -> Callable[[F], F]:
    """Note what a route takes and gives, for the document only; msgspec does the reading and writing."""

    def note(route: F) -> F:
        route.__freehold_schema__ = (body, answer)  # type: ignore[attr-defined]
        route.__freehold_media__ = media  # type: ignore[attr-defined]
        return route

    return note


@router.get("/openapi.json")
async def document(request: Request) -> Response:
    base = _base(request.app)
    paths = base["paths"] | _function_paths(services(request).apps.specs(workspace(request)))
    return answer({**base, "paths": paths})


@router.get("/docs")
async def page(request: Request) -> Response:
    """The functions that are deployed now and the routes, readable without any script."""
    base = _base(request.app)
    functions = _function_paths(services(request).apps.specs(workspace(request)))
    body = _section("Deployed functions", functions) + _section("Control API", base["paths"])
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return HTMLResponse(_PAGE.format(body=body), headers=headers)


def _base(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        routes = [
            r for r in app.router.routes if getattr(r, "path", "").startswith(("/v1", "/livez", "/readyz", "/metrics"))
        ]
        document = get_openapi(title=app.title, version=app.version, routes=routes)
        _add_schemas(document, routes)
        app.openapi_schema = document
    return app.openapi_schema


def _add_schemas(document: dict[str, Any], routes: list[Any]) -> None:
    noted = [
        (r, *r.endpoint.__freehold_schema__)
        for r in routes
        if hasattr(getattr(r, "endpoint", None), "__freehold_schema__")
    ]
    kinds = [k for _, *pair in noted for k in pair if k is not None]
    schemas, components = msgspec.json.schema_components([*kinds, ErrorBody], ref_template=_REF)
    by_kind = dict(zip(map(repr, [*kinds, ErrorBody]), schemas, strict=True))
    document.setdefault("components", {}).setdefault("schemas", {}).update(components)
    for route, body, answer_kind in noted:
        media = route.endpoint.__freehold_media__
        for method in route.methods:
            operation = document["paths"][route.path_format][method.lower()]
            if body is not None:
                operation["requestBody"] = {"required": True, "content": {media: {"schema": by_kind[repr(body)]}}}
            if answer_kind is not None:
                content = {media if body is not None else _JSON: {"schema": by_kind[repr(answer_kind)]}}
                operation["responses"]["200"] = {"description": "OK", "content": content}
            fault = {"type": "object", "properties": {"error": by_kind[repr(ErrorBody)]}}
            operation["responses"]["4XX"] = {"description": "Refused", "content": _json(fault)}


def _json(schema: Any) -> dict[str, Any]:
    return {_JSON: {"schema": schema}}


def _function_paths(specs: Any) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for app, spec in specs:
        for method in [m.name for m in spec.methods if not m.is_generator] if spec.kind == "cls" else [""]:
            if not spec.is_generator and getattr(spec.endpoints().get(method), "kind", None) not in _OWN_FACES:
                name = f"{spec.name}/{method}" if method else spec.name
                paths[f"/v1/functions/{app}/{name}/call"] = {"post": _operation(app, spec, method)}
    return paths


def _operation(app: str, spec: FunctionSpec, method: str) -> dict[str, Any]:
    arguments = (spec.json_schema or {}).get(method, spec.json_schema) if method else spec.json_schema
    properties: dict[str, Any] = {
        "args": {"type": "array", "items": {}, "description": "arguments by position"},
        "kwargs": arguments or {"type": "object", "description": "arguments by name"},
    }
    if spec.parameters:
        properties["parameters"] = _parameters(spec)
    result = {"type": "object", "properties": {"call": {"type": "string"}, "result": {}}}
    name = f"{spec.name}.{method}" if method else spec.name
    return {
        "operationId": f"{app}.{name}",
        "tags": [app],
        "summary": spec.doc or name,
        "requestBody": {"required": True, "content": _json({"type": "object", "properties": properties})},
        "responses": {"200": {"description": "The function's result", "content": _json(result)}},
    }


def _parameters(spec: FunctionSpec) -> dict[str, Any]:
    kinds: Mapping[str, dict[str, str]] = {
        "str": {"type": "string"},
        "int": {"type": "integer"},
        "bool": {"type": "boolean"},
        "bytes": {"type": "string", "contentEncoding": "base64"},
    }
    return {
        "type": "object",
        "properties": {p.name: kinds[p.type] | ({} if p.required else {"default": p.default}) for p in spec.parameters},
        "required": [p.name for p in spec.parameters if p.required],
    }


def _section(title: str, paths: dict[str, Any]) -> str:
    rows = [_entry(path, verb, operation) for path, verbs in sorted(paths.items()) for verb, operation in verbs.items()]
    return f"<h2>{html.escape(title)}</h2>" + (
        "".join(rows) or "<p>None yet. Deploy an app: <code>freehold deploy file.py</code></p>"
    )


def _entry(path: str, verb: str, operation: dict[str, Any]) -> str:
    text = operation.get("description") or operation.get("summary", "")
    schema = operation.get("requestBody", {}).get("content", {})
    schema = schema.get(_JSON, schema.get(MSGPACK, {})).get("schema")
    detail = f"<pre>{html.escape(json.dumps(schema, indent=2))}</pre>" if schema else ""
    head = f"<code><b>{verb.upper()}</b> {html.escape(path)}</code> {html.escape(text)}"
    return f"<details><summary>{head}</summary>{detail}</details>" if detail else f"<p>{head}</p>"


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Freehold API</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}}
pre{{overflow:auto;padding:.7rem;border:1px solid #8886;border-radius:6px}}code{{font-size:.95em}}summary{{cursor:pointer}}</style>
<h1>Freehold API</h1><p>Send <code>Authorization: Bearer</code> with the content of the home's <code>token</code> file.
The same as a document: <a href="/openapi.json">/openapi.json</a>.</p>{body}</html>"""
