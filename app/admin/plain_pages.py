"""/admin/signing-keys and /admin/settings; /docs, which describes the JSON API, and /openapi.json (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from app.admin import signing_keys
from app.admin.entry import Visit, called, entered
from app.admin.frame import done, shown
from app.api_keys.callers import Callers
from app.language.catalogs import N_
from app.protocol.errors import Conflict, OAuthError
from app.protocol.params import Params
from app.settings.shown import shown as settings_shown
from app.web.http import Endpoint, no_store
from app.world import World


async def keys(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    found = signing_keys.keys(visit.world, visit.now)
    return shown(visit, "admin_signing_keys.html", refusal=refusal, keys=found)


async def rotate(visit: Visit, fields: Params) -> Response:
    """At once only with a tick: servers that keep the old key set refuse tokens for a while."""
    at_once = fields.get("at_once") == "yes"
    if at_once and fields.get("sure") != "yes":
        raise Conflict(N_("tick the box to replace the keys at once"))
    await signing_keys.publish(visit.world, visit.now, at_once=at_once)
    return done("/admin/signing-keys", "replaced" if at_once else "rotated")


async def settings(visit: Visit) -> Response:
    return shown(visit, "admin_settings.html", settings=settings_shown(visit.world.settings))


def openapi(callers: Callers) -> Endpoint:
    """The description itself, for an admin's browser or their program."""

    async def document(request: Request, world: World) -> Response:
        if "authorization" in request.headers:
            await called(request, world, callers)
        else:
            visit = await entered(request, world, "/docs")
            if isinstance(visit, Response):
                return visit
        return no_store(_api(request).openapi())

    return document


async def docs(visit: Visit) -> Response:
    """The same for people, without a script."""
    document = _api(visit.request).openapi()
    return shown(visit, "admin_docs.html", groups=_groups(document), schemas=document["components"]["schemas"])


def _api(request: Request) -> FastAPI:
    app: FastAPI = request.scope["app"]
    return app


def _groups(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The operations by what they are about."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            row = operation | {"path": path, "method": method.upper()}
            groups.setdefault(operation.get("tags", [""])[0], []).append(row)
    return groups
