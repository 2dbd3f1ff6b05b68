"""POST /register: dynamic client registration (RFC 7591 §3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.clients import store
from app.http import client_address, json_body, no_store
from app.limits import Rate, hit
from app.protocol.client_metadata import checked
from app.protocol.errors import ClientLimitExceeded, InvalidClientMetadata, InvalidRequest
from app.protocol.redirect_uri import without_query
from app.tokens.secrets import CLIENT_SECRET, fingerprint, new_id, new_secret
from app.traces.recording import note
from app.world import World


async def register(request: Request, world: World) -> Response:
    """201 with everything echoed; a secret only for the methods that use one, and only this once."""
    now, settings = world.now(), world.settings
    address = client_address(request, settings.trusted_proxies)
    if settings.register_per_minute:
        await hit(world.pool, Rate("register", settings.register_per_minute, timedelta(minutes=1)), address, now)
    try:
        metadata = checked(await json_body(request, world))
    except InvalidRequest as fault:
        if type(fault) is not InvalidRequest:
            raise
        raise InvalidClientMetadata(fault.description) from fault  # RFC 7591 §3.2.2 has no invalid_request
    note(
        client_name=metadata["client_name"],
        redirects=[without_query(uri) for uri in metadata["redirect_uris"]],
        client_auth=metadata["token_endpoint_auth_method"],
        scope=metadata.get("scope"),
    )
    secret = None if metadata["token_endpoint_auth_method"] == "none" else new_secret(CLIENT_SECRET)
    key = fingerprint(secret) if secret else None
    added = await store.register(world.pool, new_id("client"), metadata, key, address, settings.max_unused_clients, now)
    if added is None:
        raise ClientLimitExceeded("too many registrations were never used; the oldest make room within a day")
    client_id, issued_at = added
    note(client_id=client_id)
    answer: dict[str, Any] = {**metadata, "client_id": client_id, "client_id_issued_at": int(issued_at.timestamp())}
    if secret is not None:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return no_store(answer, 201)
