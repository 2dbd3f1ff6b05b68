"""GET and POST /userinfo: what an access token with `openid` may know of its subject (OIDC Core §5.3, RFC 6750 §3).

The token is the one for the tools: its audience is the protected resource. That is no obstacle here, because this address
belongs to the server that signed it, which recognises its own tokens as it does at /revoke; what opens it is the scope.
A second audience in every token would say the same, and be one that other checkers of tokens have to know of.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.api_keys.callers import Callers
from app.oauth import store
from app.protocol.challenge import challenge
from app.protocol.claims import claims_of
from app.protocol.errors import InsufficientScope, InvalidToken, OAuthError
from app.protocol.scope import OPENID
from app.traces.recording import note
from app.web.http import Door, json_refusal, no_store
from app.world import World


def userinfo(world: World, callers: Callers) -> Door:
    """The address. `callers` knows revoked tokens from good ones, as it does for the guard."""

    async def tell(request: Request, world: World) -> Response:
        principal = await callers.principal(request, world.now())
        note(client_id=principal.client_id, user_id=principal.subject, connection_id=principal.connection_id)
        if OPENID not in principal.scope:
            raise InsufficientScope("this token was given without the scope openid", frozenset({OPENID}))
        person = await store.person(world.pool, principal.subject)
        if person is None:
            raise InvalidToken("the access token stands for no user")
        note(keep=world.traces.is_news(f"userinfo {principal.connection_id}", world.now()))
        return no_store(claims_of(person, principal.scope))

    return Door(world, refused, cors=True, GET=tell, POST=tell)


def refused(refusal: OAuthError, request: Request, world: World) -> Response:
    """401 and 403 with the challenge (RFC 6750 §3)."""
    response = json_refusal(refusal, request, world)
    if refusal.status in (401, 403):
        credentials = request.headers.get("authorization", "").encode("latin-1")
        response.headers["WWW-Authenticate"] = challenge(refusal, None, OPENID, credentials)
    return response
