"""GET /.well-known/…: authorization server (RFC 8414 §3, OIDC Discovery §4), protected resource (RFC 9728 §3), keys (RFC 7517 §5)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.http import Endpoint
from app.oauth.grants import offered
from app.protocol import metadata
from app.protocol.scope import ADMIN
from app.tokens.keyring import JWKS_MAX_AGE
from app.world import World

CACHED = {"Cache-Control": f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"}


async def authorization_server(request: Request, world: World) -> Response:
    return JSONResponse(
        metadata.authorization_server(*_said(world), documents=_documents(world), resources=offers(world)),
        headers=CACHED,
    )


async def openid_provider(request: Request, world: World) -> Response:
    return JSONResponse(
        metadata.openid_provider(*_said(world), documents=_documents(world), resources=offers(world)), headers=CACHED
    )


def _said(world: World) -> tuple[str, list[str]]:
    return world.settings.issuer, list(offered(world.settings))


def offers(world: World) -> dict[str, list[str]]:
    """Their audiences, each with the scopes that may be asked for there."""
    return {one.audience: [word for word in one.scopes if word != ADMIN] for one in world.resources}


def _documents(world: World) -> bool:
    return world.settings.client_documents != "off"


def resource_at(path: str | None) -> Endpoint:
    """The document of the resource with this path; without one, of the default (RFC 9728 §3.1)."""

    async def protected_resource(request: Request, world: World) -> Response:
        resources = world.resources
        found = next((one for one in resources if one.path == path), resources.default)
        said = metadata.protected_resource(resources.issuer, found.audience, found.title, found.default)
        return JSONResponse(said, headers=CACHED)

    return protected_resource


async def jwks(request: Request, world: World) -> Response:
    return Response(world.live.ring.jwks(world.now()), media_type="application/json", headers=CACHED)
