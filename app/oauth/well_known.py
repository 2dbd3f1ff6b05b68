"""GET /.well-known/…: authorization server (RFC 8414 §3, OIDC Discovery §4), protected resource (RFC 9728 §3), keys (RFC 7517 §5)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from app.oauth.grants import offered
from app.protocol import metadata
from app.protocol.scope import ADMIN
from app.resources.served import Resources
from app.settings.loopback import renamed
from app.tokens.keyring import JWKS_MAX_AGE
from app.web.http import Endpoint, Json
from app.world import World

Document = Callable[..., dict[str, Any]]
CACHED = {"Cache-Control": f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"}


async def authorization_server(request: Request, world: World) -> Response:
    return _kept(metadata.authorization_server, world)


async def openid_provider(request: Request, world: World) -> Response:
    return _kept(metadata.openid_provider, world)


def _kept(document: Document, world: World) -> Response:
    settings = world.settings
    said = _written(document, settings.issuer, tuple(offered(settings)), _documents(world), world.resources)
    return Response(said, media_type="application/json", headers=CACHED)


@lru_cache(maxsize=32)
def _written(document: Document, issuer: str, grants: tuple[str, ...], documents: bool, resources: Resources) -> bytes:
    """Once for each reading of gatehouse.toml."""
    return to_json(document(issuer, list(grants), documents=documents, resources=offers(resources)))


def offers(resources: Resources) -> dict[str, list[str]]:
    """Their audiences, each with the scopes that may be asked for there."""
    return {one.audience: [word for word in one.scopes if word != ADMIN] for one in resources}


def _documents(world: World) -> bool:
    return world.settings.client_documents != "off"


def resource_at(path: str | None) -> Endpoint:
    """The document of the resource with this path; without one, of the default (RFC 9728 §3.1). On loopback under the name that
    was called: a client holds it to the address that it was given (§3.3)."""

    async def protected_resource(request: Request, world: World) -> Response:
        resources = world.resources
        found = next((one for one in resources if one.path == path), resources.default)
        called = renamed(found.audience, request.headers.get("host", "").lower())
        said = metadata.protected_resource(resources.issuer, called, found.title, found.default)
        return Json(said, headers=CACHED)

    return protected_resource


async def jwks(request: Request, world: World) -> Response:
    return Response(world.live.ring.jwks(world.now()), media_type="application/json", headers=CACHED)
