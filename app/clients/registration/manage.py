"""GET, PUT and DELETE /register/{client_id}: a client looks at its registration, replaces it, ends it (RFC 7592 §2)."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.clients.registration import store
from app.clients.registration.register import check_hosts, metadata_of, shown
from app.clients.remove import remove
from app.limits import Rate, hit
from app.protocol.challenge import challenge
from app.protocol.client_metadata import ASSIGNED, checked
from app.protocol.errors import InvalidClientMetadata, InvalidToken, OAuthError
from app.tokens.secrets import REGISTRATION, fingerprint
from app.traces.recording import note
from app.web.http import bearer, json_refusal, no_store
from app.world import World

CHANGES = Rate("register-change", 10, timedelta(minutes=1))  # each is a line of the audit log


async def read(request: Request, world: World) -> Response:
    """200 with what is registered (§2.1). The secret is not in it: only its fingerprint is known here."""
    client, token = await _managed(request, world)
    note(keep=False)  # a look changes nothing
    return no_store(shown(client.metadata, client.client_id, client.issued_at, token, world.settings.issuer))


async def replace(request: Request, world: World) -> Response:
    """200 with the metadata that is registered from now on (§2.2): what the body leaves out is gone.

    Secrets stay as they are, and so does whether there is one. Users are asked for their consent again, since they
    gave it to the app as it was.
    """
    client, token = await _managed(request, world)
    document = await metadata_of(request, world)
    if isinstance(document, dict):
        _check_identity(document, client)
    metadata = checked(document)
    check_hosts(metadata, world.settings.redirect_hosts)
    if _proof(metadata) != _proof(client.metadata):
        raise InvalidClientMetadata("a client cannot change what it proves itself with; register anew")
    now = world.now()
    await hit(world.pool, CHANGES, client.client_id, now)
    async with world.db.begin() as db:
        replaced = await store.replace_metadata(db, client.client_id, fingerprint(token), metadata)
        if replaced:
            name = metadata["client_name"]
            await audit.record(db, "client.updated", now, client_id=client.client_id, name=name)
    if not replaced:
        raise _wrong()
    return no_store(shown(metadata, client.client_id, client.issued_at, token, world.settings.issuer))


async def end(request: Request, world: World) -> Response:
    """204; the client is served no more, and what hangs from it ends within a second (§2.3)."""
    client, _ = await _managed(request, world)
    async with world.db.begin() as db:
        ended = await remove(db, client.client_id, world.now(), lifetime=world.token_lifetime)
    if not ended:
        raise _wrong()
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def refused(refusal: OAuthError, request: Request, world: World) -> Response:
    """The renderer of refusals here: 401 with the challenge of RFC 6750 §3."""
    response = json_refusal(refusal, request, world)
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = challenge(refusal)
    return response


async def _managed(request: Request, world: World) -> tuple[store.Managed, str]:
    """The client of the address and the token that may manage it. Raises NoToken and InvalidToken, the same for a wrong
    token and for a client that does not exist (§2.1)."""
    token = bearer([value.encode("latin-1") for value in request.headers.getlist("authorization")])
    client_id: str = request.path_params["client_id"]
    note(client_id=client_id)
    found = None
    if token.startswith(REGISTRATION) and len(token) < 200 and token.isascii() and len(client_id) <= 200:
        async with world.db.connect() as db:
            found = await store.managed(db, client_id, fingerprint(token))
    if found is None:
        raise _wrong()
    return found, token


def _wrong() -> InvalidToken:
    return InvalidToken("this client is not registered here, or the registration access token is not its own")


def _check_identity(document: dict[str, Any], client: store.Managed) -> None:
    """§2.2: the client says who it is, may repeat its secret, and sends nothing else of what we assign."""
    if document.get("client_id") != client.client_id:
        raise InvalidClientMetadata("client_id must be the one of this registration")
    if document.get("client_secret") is not None and not _is_secret_of(client, document["client_secret"]):
        raise InvalidClientMetadata("client_secret must be the one of this client; a client cannot choose it")
    for name in ASSIGNED - {"client_id", "client_secret"}:
        if document.get(name) is not None:
            raise InvalidClientMetadata(f"{name} is not the client's to send")


def _is_secret_of(client: store.Managed, secret: object) -> bool:
    if client.secret_fingerprint is None or not isinstance(secret, str):
        return False
    return hmac.compare_digest(client.secret_fingerprint, fingerprint(secret))


def _proof(metadata: dict[str, Any]) -> str:
    """Basic and post prove the same secret."""
    method: str = metadata["token_endpoint_auth_method"]
    return "secret" if method.startswith("client_secret_") else method
