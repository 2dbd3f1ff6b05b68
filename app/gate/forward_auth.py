"""GET /forward-auth: whether a reverse proxy may let a request through, and whose it is (RFC 6750 §3, RFC 9449 §7).

nginx (auth_request), Caddy (forward_auth) and Traefik (ForwardAuth) ask here before they pass a request on to a server of
the operator's. Only 200 opens, and only a good token gets it. What decides comes from the proxy's configuration (the query) and
from the token, never from the request that is asked about: neither its cookies nor its body are read, nor what it says of
itself in X-Gatehouse-*. Who is not a proxy may ask too, and learns of its own token what the token opens anyway.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from app.api_keys import store
from app.api_keys.callers import Callers
from app.gate.headers import sorted_headers
from app.gate.known import Acquaintances
from app.protocol.challenge import challenge, needed_scope
from app.protocol.errors import (
    InsufficientScope,
    InvalidRequest,
    InvalidTarget,
    InvalidToken,
    OAuthError,
)
from app.protocol.params import parse
from app.protocol.resource import canonical
from app.protocol.scope import ADMIN, expanded, words_of
from app.protocol.types import Principal
from app.resources.model import Resource
from app.tokens.dpop import normal
from app.traces.recording import note
from app.web.http import OPEN_CORS, Door, Json, as_refusal, is_from, traced
from app.world import World

ASKED = ("resource", "scope")
HEADER = re.compile(r"[!-~]+(?: [!-~]+)*\Z")  # what every proxy and every server reads alike


def forward_auth(world: World, callers: Callers) -> Door:
    """The address. Without CORS: with it, the door would answer OPTIONS, and to a proxy any 2xx means yes."""
    asked = Asked(callers)
    return Door(world, GET=asked.may_pass)


class Asked:
    """Remembers, for each resource, whom it has met, as the guard does."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._met: dict[str, Acquaintances] = {}

    async def may_pass(self, request: Request, world: World) -> Response:
        """200 with who it is; 401 or 403 with the challenge of the resource; anything else is no yes either."""
        resource, needed = _asked(request, world)
        principal: Principal | None = None
        held = frozenset[str]()
        try:
            principal = await self._caller(request, resource, world)
            held = await _held(principal, world)
            if not needed <= held:
                raise InsufficientScope(f"this needs the scope {' '.join(sorted(needed))}", needed)
            return Response(headers=_identity(principal, held) | {"Cache-Control": "no-store"})
        except Exception as fault:
            if principal is not None:
                note(client_id=principal.client_id, user_id=principal.subject, connection_id=principal.connection_id)
            note(resource=resource.audience)
            default = tuple(dict.fromkeys((*resource.default, *_beyond(needed, resource))))
            return _refused(as_refusal(fault), request, resource, held, default, world)

    async def _caller(self, request: Request, resource: Resource, world: World) -> Principal:
        """Raises NoToken, InvalidToken, InvalidDpopProof, UseDpopNonce and TemporarilyUnavailable."""
        now, met = world.now(), self._met.get(resource.audience)
        if met is None or (met.resource is not resource and met.resource != resource):
            met = self._met[resource.audience] = Acquaintances(world, self._callers, resource)
        met.resource = resource  # gatehouse.toml may have been read again since, and say the same
        wanted = sorted_headers(request.scope).wanted
        credentials = wanted[b"authorization"]
        try:
            known = await met.met(credentials, now)
        except InvalidRequest as fault:  # nginx makes 500 of 400, and this is the caller's fault
            raise InvalidToken(fault.description) from fault
        if known.principal.jkt is not None:
            proofs = [value.decode("latin-1") for value in wanted[b"dpop"]]
            method, url = _forwarded(request, resource, world)
            await self._callers.prove_at(known.principal, credentials[0], proofs, method, frozenset({url}), now)
        met.let_in(known, now)
        return known.principal


def _asked(request: Request, world: World) -> tuple[Resource, frozenset[str]]:
    """What the proxy's configuration names: the resource, and the scopes that it takes, else those that every message to it
    takes. Raises InvalidRequest and InvalidTarget.

    It must name the resource, and nothing besides may come: a proxy that hands on the caller's own query is noticed at once.
    """
    params = parse(request.scope["query_string"])
    if len(set(params.names)) != len(params.names) or not set(params.names) <= set(ASKED):
        raise InvalidRequest("the query must have resource and may have scope, each once, and nothing else")
    resource = world.resources.at(canonical(params.required("resource")) or "")
    if resource is None:
        raise InvalidTarget("resource must be {resource}", resource=" or ".join(world.resources.by_audience))
    needed = frozenset(words_of(params.get("scope")))
    if not needed <= resource.scopes.keys():
        raise InvalidRequest("scope has a word that is no scope of this resource")
    return resource, needed or resource.rules.baseline


async def _held(principal: Principal, world: World) -> frozenset[str]:
    """Its scopes; `admin` only as long as its user is one, which is asked each time."""
    if ADMIN in principal.scope and not await store.is_admin(world.pool, principal.subject):
        return principal.scope - {ADMIN}
    return principal.scope


def _forwarded(request: Request, resource: Resource, world: World) -> tuple[str, str]:
    """The method and the address of the request that is asked about, for its DPoP proof: as a trusted proxy says, at the
    origin of the resource, whatever Host the caller sent. Raises InvalidToken."""
    methods, uris = (request.headers.getlist(f"x-forwarded-{name}") for name in ("method", "uri"))
    if not is_from(request, world.settings.trusted_proxies) or len(methods) != 1 or len(uris) != 1:
        raise InvalidToken(
            "the access token is bound to a key, and no trusted proxy says for which request it was sent"
        )
    parts = urlsplit(resource.audience)
    url = normal(f"{parts.scheme}://{parts.netloc}{uris[0]}") if uris[0].startswith("/") else None
    if url is None:
        raise InvalidToken("the access token is bound to a key, and the address it was sent to is not well-formed")
    return methods[0], url


def _identity(principal: Principal, held: frozenset[str]) -> dict[str, str]:
    """Every header, always, and none of them empty: some proxies let the caller's own stand where one is missing."""
    told = {
        "X-Gatehouse-Subject": principal.subject,
        "X-Gatehouse-Client": principal.client_id,
        "X-Gatehouse-Scope": " ".join(sorted(held)),
        "X-Gatehouse-Resource": principal.resource,
        "X-Gatehouse-Via": principal.via,
    }
    for name, value in told.items():
        if not HEADER.match(value):
            raise OAuthError(f"{name} has characters that no header may have")
    return told


def _beyond(needed: frozenset[str], resource: Resource) -> list[str]:
    """What must be asked for besides the default."""
    return sorted(needed - expanded(frozenset(resource.default), resource.scopes))


def _refused(
    refusal: OAuthError,
    request: Request,
    resource: Resource,
    held: frozenset[str],
    default: tuple[str, ...],
    world: World,
) -> Response:
    """Proxies hand 401 and 403 on to the caller, so they are what the resource itself would say; pages may read them."""
    response = Json(traced(refusal), refusal.status, {"Cache-Control": "no-store"})
    if refusal.status in (401, 403):
        metadata = f"{world.settings.issuer}/.well-known/oauth-protected-resource{resource.path}"
        credentials = request.headers.get("authorization", "").encode("latin-1")
        scope = needed_scope(refusal, held, default)
        response.headers["WWW-Authenticate"] = challenge(refusal, metadata, scope, credentials)
        response.raw_headers.extend(OPEN_CORS)
    response.headers.update(refusal.headers)
    return response
