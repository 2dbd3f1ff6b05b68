"""What a request of the seed's calls brings: the project behind `X-LW-Public`, fields of the right kind, who alone may redeem."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from app.agents.store import Project, project_of
from app.limits import Rate, hit
from app.protocol.agent_errors import (
    ApiKeyRevoked,
    InvalidApiKey,
    MissingApiKey,
    ProjectPaused,
    RateLimitExceeded,
)
from app.protocol.errors import InvalidRequest, TooManyRequests
from app.protocol.pkce import is_challenge
from app.tokens.secrets import b64
from app.traces.recording import note
from app.web import dpop
from app.web.http import client_address, json_body
from app.work import brought
from app.world import World

HEADER = "x-lw-public"
KEY = re.compile(r"la_pk_[A-Za-z0-9]{24}")


async def project(request: Request, world: World) -> Project:
    """Raises MissingApiKey, InvalidApiKey, ApiKeyRevoked, ProjectPaused: there is no project to fall back to."""
    key = public_key(request)
    found = await project_of(world.pool, key)
    if found is None:
        raise InvalidApiKey("X-LW-Public names no project of this server")
    if found.revoked_at is not None:
        raise ApiKeyRevoked("the project behind X-LW-Public was revoked")
    if found.paused_at is not None:
        raise ProjectPaused("the project behind X-LW-Public is paused; what was paid for is not lost")
    note(client_id=found.id, client_name=found.name)
    return found


def public_key(request: Request) -> str:
    """As it was sent; whether a project has it is another question. Raises MissingApiKey, InvalidApiKey."""
    sent = request.headers.getlist(HEADER)
    if not sent or not sent[0]:
        raise MissingApiKey("send the project's public key as X-LW-Public")
    if len(sent) > 1 or not KEY.fullmatch(sent[0]):
        raise InvalidApiKey("X-LW-Public names no project of this server")
    return sent[0]


async def fields(request: Request, world: World) -> dict[str, Any]:
    """The members of the body; none, where no body was sent. Raises InvalidRequest."""
    if not request.headers.get("content-type") and request.headers.get("content-length", "0") == "0":
        return {}
    body = await json_body(request, world)
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object")
    return body


async def promised(request: Request, body: dict[str, Any], world: World, now: datetime) -> str:
    """Who alone may redeem what is started here: who has the verifier of this `codeChallenge` (RFC 7636 §4.2), or the key of
    this DPoP proof (RFC 9449 §4.3); empty: whoever has the quoteId."""
    challenge = brought.words(body, "codeChallenge")
    if challenge is not None:
        if not is_challenge(challenge) or body.get("codeChallengeMethod", "S256") != "S256":
            raise InvalidRequest("codeChallenge must be made with S256")
        return f"S256:{challenge}"
    jkt = await dpop.key_of(request, world, now)
    return "" if jkt is None else f"jkt:{jkt}"


def redeemer(body: dict[str, Any], jkt: str | None) -> str:
    """As `promised` writes it, by what comes with the redemption. Raises InvalidRequest."""
    verifier = brought.words(body, "codeVerifier")
    if verifier is not None:
        return f"S256:{b64(hashlib.sha256(verifier.encode()).digest())}"
    return "" if jkt is None else f"jkt:{jkt}"


async def limited(request: Request, world: World, rate: Rate, now: datetime) -> None:
    """Raises RateLimitExceeded, the seed's word for it."""
    try:
        await hit(world.pool, rate, client_address(request, world.settings.trusted_proxies), now)
    except TooManyRequests as fault:
        raise RateLimitExceeded(fault.template, retry_after=fault.retry_after) from None


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the second, as the seed writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
