"""What we say to services elsewhere, by Authlib's client: the authorization URL, codes, refresh, revocation (RFC 6749 §4.1, 7009, 7636)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import OAuthError as ToldError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from app.outside.fetch import Unfetchable
from app.protocol.provider import Provider, Way
from app.upstream.answers import checked, plain
from app.upstream.faults import Away, Refused
from app.upstream.limited import Limited
from app.world import World

SECONDS = 10.0  # for one exchange with a service, whatever it does


@dataclass(frozen=True, slots=True)
class Places:
    """Where a provider is talked to for one purpose. `issuer` and `jwks_uri` are empty where it does not speak OpenID Connect."""

    authorization: str
    token: str
    userinfo: str
    revocation: str
    issuer: str = ""
    jwks_uri: str = ""
    sends_iss: bool = False
    pkce: bool = True


async def places(world: World, provider: Provider, way: Way, now: datetime) -> Places:
    """Raises Away when its metadata are needed and cannot be had."""
    profile, revocation = provider.profile.url, provider.revocation.url
    if not provider.is_openid or (way.authorization_endpoint and way.token_endpoint and way.member):
        return Places(way.authorization_endpoint, way.token_endpoint, profile, revocation, pkce=provider.pkce)
    try:
        found = await world.providers.published(provider, now)
    except Unfetchable as fault:
        raise Away(f"its metadata cannot be had: {fault}") from fault
    return Places(
        authorization=way.authorization_endpoint or found.authorization_endpoint,
        token=way.token_endpoint or found.token_endpoint,
        userinfo=profile or found.userinfo_endpoint,
        revocation=revocation or found.revocation_endpoint,
        issuer=found.issuer,
        jwks_uri=found.jwks_uri,
        sends_iss=found.sends_iss,
        pkce=provider.pkce,
    )


def callback(world: World, provider: Provider) -> str:
    """One for each provider, so that what one sends can never pass for another's (RFC 9700 §4.4.2.2)."""
    return f"{world.settings.issuer}/callback/{provider.name}"


async def authorization_url(
    world: World,
    provider: Provider,
    way: Way,
    at: Places,
    *,
    state: str,
    verifier: str,
    nonce: str,
    scope: tuple[str, ...],
    login_hint: str | None = None,
) -> str:
    more = dict(way.extra) | {way.scope_parameter: way.separator.join(scope)}
    if "openid" in scope:
        more["nonce"] = nonce
    if login_hint:
        more["login_hint"] = login_hint
    async with _client(world, provider, way) as client:
        url: str = client.create_authorization_url(
            at.authorization, state=state, code_verifier=verifier if at.pkce else None, **{"scope": None, **more}
        )[0]
    return url


async def redeem(world: World, provider: Provider, way: Way, at: Places, code: str, verifier: str) -> dict[str, Any]:
    """The answer to a code. Raises Refused and Away."""
    async with _client(world, provider, way) as client:
        proof = {"code_verifier": verifier} if at.pkce else {}
        return await _asked(client.fetch_token(at.token, grant_type="authorization_code", code=code, **proof))


async def refresh(world: World, provider: Provider, way: Way, at: Places, refresh_token: str) -> dict[str, Any]:
    """New tokens; with the same refresh token where there is no new one. Raises Refused and Away."""
    async with _client(world, provider, way) as client:
        client.token = {"refresh_token": refresh_token}
        return await _asked(client.refresh_token(at.token, refresh_token=refresh_token))


async def read(world: World, url: str, access_token: str, accept: str = "application/json") -> Any:
    """The JSON at an address of the provider's, in its user's name. Raises Away."""
    response = await send(world, "GET", url, access_token, headers={"Accept": accept})
    if response.status_code != 200:
        raise Away(f"it says nothing of its user: status {response.status_code}")
    try:
        return response.json()
    except (ValueError, RecursionError):
        raise Away("what it says of its user is not JSON") from None


async def send(world: World, method: str, url: str, access_token: str, **options: Any) -> httpx2.Response:
    """One request with the user's token. Raises Away."""
    token = {"access_token": access_token, "token_type": "Bearer"}
    async with _opened(world, token=token) as client:
        try:
            async with asyncio.timeout(SECONDS):
                response: httpx2.Response = await client.request(method, url, **options)
                return response
        except (httpx2.HTTPError, httpx2.InvalidURL, AuthlibBaseError, OSError, ValueError) as fault:
            raise Away(_words(fault)) from fault


async def revoke(world: World, provider: Provider, way: Way, at: Places, tokens: dict[str, Any]) -> bool:
    """Gives the grant back, as far as this provider lets us; True when it said that it did. Raises Away."""
    if not at.revocation:
        return False
    access_token, refresh_token = tokens["access_token"], tokens.get("refresh_token")
    style = provider.revocation.style
    if style == "bearer":
        response = await send(world, "POST", at.revocation, access_token)
        return response.status_code == 200 and plain(response, None).json().get("ok") is True
    async with _client(world, provider, way) as client:
        if style == "github":
            url = at.revocation.replace("{client_id}", quote(provider.client_id, safe=""))
            login = httpx2.BasicAuth(provider.client_id, provider.client_secret)
            asked = client.request("DELETE", url, auth=login, json={"access_token": access_token})
        else:
            kind = "refresh_token" if refresh_token else "access_token"
            asked = client.revoke_token(at.revocation, token=refresh_token or access_token, token_type_hint=kind)
        try:
            async with asyncio.timeout(SECONDS):
                response = await asked
        except (httpx2.HTTPError, AuthlibBaseError, OSError, ValueError) as fault:
            raise Away(_words(fault)) from fault
    return response.status_code in (200, 204)


@asynccontextmanager
async def _client(world: World, provider: Provider, way: Way) -> AsyncIterator[Any]:
    """Authlib's, as this provider knows us."""
    method = provider.token_endpoint_auth_method
    async with _opened(
        world,
        client_id=provider.client_id,
        client_secret=provider.client_secret or None,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        redirect_uri=callback(world, provider),
        code_challenge_method="S256",
    ) as client:
        client.register_client_auth_method(("client_secret_basic", _basic))
        for hook in ("access_token_response", "refresh_token_response"):
            client.register_compliance_hook(hook, lambda response: plain(response, way.member))
        yield client


@asynccontextmanager
async def _opened(world: World, **options: Any) -> AsyncIterator[Any]:
    transport = Limited(verify=world.outside.tls, trust_env=False)
    async with AsyncOAuth2Client(
        transport=transport, trust_env=False, follow_redirects=False, timeout=SECONDS, **options
    ) as client:
        yield client


async def _asked(answer: Any) -> dict[str, Any]:
    try:
        async with asyncio.timeout(SECONDS):
            return checked(dict(await answer))
    except ToldError as fault:
        raise Refused(str(fault.error)[:100], str(fault.description or "")[:200]) from fault
    except (
        httpx2.HTTPError,
        httpx2.InvalidURL,
        AuthlibBaseError,
        OSError,
        ValueError,
        TypeError,
        RecursionError,
    ) as fault:
        raise Away(_words(fault)) from fault


def _basic(client: Any, method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """RFC 6749 §2.3.1: both are form-encoded first, which Authlib leaves out."""
    login = f"{quote(client.client_id, safe='')}:{quote(client.client_secret or '', safe='')}"
    headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    return uri, headers, body


def _words(fault: Exception) -> str:
    if isinstance(fault, httpx2.HTTPStatusError):
        return f"it answered with status {fault.response.status_code}"
    if isinstance(fault, (TimeoutError, httpx2.TimeoutException)):
        return f"it took longer than {SECONDS:g} seconds"
    if isinstance(fault, (httpx2.HTTPError, OSError)):
        return "it cannot be reached"
    return "its answer cannot be understood"
