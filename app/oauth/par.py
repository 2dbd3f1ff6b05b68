"""POST /par: a client sends its authorization request ahead, and the browser carries only a reference (RFC 9126)."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from app.clients.authenticate import authenticated_client
from app.oauth import noted
from app.oauth.authorize import identified
from app.oauth.validate import validate
from app.protocol.errors import InvalidDpopProof, InvalidRequest
from app.protocol.pending import PUSHED_LIFETIME
from app.tokens.secrets import new_id
from app.web import dpop
from app.web.flow import pushed
from app.web.http import form, no_store
from app.world import World


async def push(request: Request, world: World) -> Response:
    """201 with a `request_uri` (§2.2), after every check that /authorize makes: what it opens needs none again.

    The client authenticates as at /token. Whatever is wrong is told here, as JSON (§2.3).
    """
    now = world.now()
    params = await form(request, world)
    noted.asked(params)
    params.refuse_repeats()
    client = await authenticated_client(request, params, world)
    if params.get("request_uri") is not None:  # §2.1
        raise InvalidRequest("request_uri cannot be pushed; it is what the answer brings")
    pending = validate(params, client, identified(params, client, world.settings), world.resources, now)
    jkt = await dpop.key_of(request, world, now)  # RFC 9449 §10.1
    if jkt is not None and pending.dpop_jkt not in (None, jkt):
        raise InvalidDpopProof("the DPoP proof is signed with another key than dpop_jkt names")
    request_uri = pushed(replace(pending, pushed_id=new_id("par"), dpop_jkt=jkt or pending.dpop_jkt), world)
    return no_store({"request_uri": request_uri, "expires_in": int(PUSHED_LIFETIME.total_seconds())}, 201)
