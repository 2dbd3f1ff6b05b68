"""POST /register: dynamic client registration (RFC 7591 §3), and who may manage the client afterwards (RFC 7592 §3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.clients.registration import store
from app.clients.registration.gate import passed
from app.limits import Rate, hit
from app.protocol.client_metadata import checked
from app.protocol.errors import ClientLimitExceeded, InvalidClientMetadata, InvalidRedirectUri, InvalidRequest
from app.protocol.redirect_uri import is_welcome, without_query
from app.tokens.secrets import CLIENT_SECRET, REGISTRATION, fingerprint, new_id, new_secret
from app.traces.recording import note
from app.web.http import client_address, json_body, no_store
from app.world import World


async def register(request: Request, world: World) -> Response:
    """201 with everything echoed; a secret only for the methods that use one, and only this once.

    A public client is shared by all who register the same, so nobody is given the power to change or delete it: an
    installer of an app could otherwise do so to everybody's. A confidential one is its registrant's alone and comes with
    a registration access token.
    """
    now, settings = world.now(), world.settings
    address = client_address(request, settings.trusted_proxies)
    if settings.register_per_minute:
        await hit(world.pool, Rate("register", settings.register_per_minute, timedelta(minutes=1)), address, now)
    metadata = checked(await passed(await metadata_of(request, world), world, now))
    check_hosts(metadata, settings.redirect_hosts)
    _note(metadata)
    method = metadata["token_endpoint_auth_method"]
    secret = new_secret(CLIENT_SECRET) if method.startswith("client_secret") else None
    management = new_secret(REGISTRATION) if method != "none" else None
    added = await store.register(
        world.pool,
        new_id("client"),
        metadata,
        fingerprint(secret) if secret else None,
        fingerprint(management) if management else None,
        settings.max_unused_clients,
        now,
    )
    if added is None:
        raise ClientLimitExceeded("too many registrations were never used; the oldest make room within a day")
    client_id, issued_at = added
    note(client_id=client_id)
    answer = shown(metadata, client_id, issued_at, management, settings.issuer)
    if secret is not None:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return no_store(answer, 201)


def check_hosts(metadata: dict[str, Any], hosts: tuple[str, ...]) -> None:
    """Raises InvalidRedirectUri for a place that the operator has not named (GATEHOUSE_REDIRECT_HOSTS)."""
    for uri in metadata["redirect_uris"]:
        if not is_welcome(uri, hosts):
            raise InvalidRedirectUri("redirect_uris: {uri} is not on a host that this server accepts", uri=uri)


def _note(metadata: dict[str, Any]) -> None:
    note(
        client_name=metadata["client_name"],
        redirects=[without_query(uri) for uri in metadata["redirect_uris"]],
        client_auth=metadata["token_endpoint_auth_method"],
        scope=metadata.get("scope"),
    )


async def metadata_of(request: Request, world: World) -> object:
    """The JSON of the body. Raises InvalidClientMetadata for what is none: RFC 7591 §3.2.2 has no invalid_request."""
    try:
        return await json_body(request, world)
    except InvalidRequest as fault:
        if type(fault) is not InvalidRequest:
            raise
        raise InvalidClientMetadata(fault.description) from fault


def shown(
    metadata: dict[str, Any], client_id: str, issued_at: datetime, management: str | None, issuer: str
) -> dict[str, Any]:
    """The client information response (RFC 7591 §3.2.1, RFC 7592 §3), without the secret."""
    answer = {**metadata, "client_id": client_id, "client_id_issued_at": int(issued_at.timestamp())}
    if management is not None:
        answer |= {
            "registration_client_uri": f"{issuer}/register/{client_id}",
            "registration_access_token": management,
        }
    return answer
