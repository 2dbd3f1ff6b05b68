"""Talking to the authorization server: tokens for a proof (RFC 6749 §4, §6, RFC 8707 §2), and giving them back (RFC 7009)."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from urllib.parse import quote

import httpx2

from app.bridge.faults import Denied, Fault, Unreachable, address, quoted
from app.bridge.options import Client, Record, Tokens
from app.bridge.wire import Reply, posted

BEARER = "bearer"
BUSY = (429, 502, 503, 504)


async def asked(http: httpx2.AsyncClient, endpoint: str, client: Client, form: Mapping[str, str]) -> Reply:
    """A form in the client's name (RFC 6749 §2.3.1). Raises Unreachable, Fault, or Denied for an error of the server's."""
    headers: dict[str, str] = {}
    fields = {name: value for name, value in form.items() if value}
    fields["client_id"] = client.client_id  # also beside Basic, where some servers look for it nevertheless
    if client.method == "client_secret_basic" and client.client_secret:
        pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    elif client.client_secret:
        fields["client_secret"] = client.client_secret
    reply = await posted(http, endpoint, headers, data=fields)
    if reply.status in BUSY:
        raise Unreachable(f"{address(endpoint)} is not available (HTTP {reply.status})")
    if reply.status >= 400 or "error" in reply.document:
        word = quoted(reply.document.get("error"))
        why = quoted(reply.document.get("error_description"))
        said = ": ".join(filter(None, (word, why))) or f"HTTP {reply.status}"
        raise Denied(f"{address(endpoint)} refused ({said})", word)
    return reply


async def tokens_for(
    http: httpx2.AsyncClient, endpoint: str, client: Client, form: Mapping[str, str], before: Tokens | None = None
) -> Tokens:
    """`before`: whose refresh token stays when no new one comes (RFC 6749 §6)."""
    document = (await asked(http, endpoint, client, form)).document
    access_token, lifetime = document.get("access_token"), document.get("expires_in")
    kind = document.get("token_type", BEARER)
    if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
        raise Fault(f"{address(endpoint)} answered without an access token")
    if not isinstance(kind, str) or kind.lower() != BEARER:
        raise Fault(f"{address(endpoint)} gave a token of the kind {quoted(kind)}, and only Bearer can be used")
    seconds = float(lifetime) if isinstance(lifetime, (int, float)) and lifetime > 0 else 0.0
    refresh_token, scope = document.get("refresh_token"), document.get("scope")
    return Tokens(
        access_token,
        refresh_token if isinstance(refresh_token, str) else (before.refresh_token if before else ""),
        scope if isinstance(scope, str) else (before.scope if before else form.get("scope", "")),
        time.time() + seconds if seconds else 0.0,
        seconds,
    )


async def refreshed(http: httpx2.AsyncClient, record: Record, held: Tokens) -> Tokens:
    form = {"grant_type": "refresh_token", "refresh_token": held.refresh_token, "resource": record.resource}
    return await tokens_for(http, record.token_endpoint, record.client, form, held)


async def gave_back(http: httpx2.AsyncClient, record: Record, held: Tokens) -> None:
    """RFC 7009 §2.1. The refresh token stands for the whole; without one, the access token. Raises Fault when it failed."""
    if not record.revocation_endpoint:
        raise Fault(f"{record.issuer} takes no tokens back, so these stay good until they expire")
    kind = "refresh_token" if held.refresh_token else "access_token"
    form = {"token": held.refresh_token or held.access_token, "token_type_hint": kind}
    await asked(http, record.revocation_endpoint, record.client, form)
