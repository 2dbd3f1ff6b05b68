"""From the front door to a record with tokens, in the way that was asked for: browser, device, or a client's own credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx2

from app.bridge import browser, device
from app.bridge.faults import Denied, Fault
from app.bridge.front_door import FrontDoor, discovered
from app.bridge.options import ANY_PORT, Client, Options, Record, Tokens, Way
from app.bridge.register import known, registered
from app.bridge.token_endpoint import tokens_for
from app.checkup.answer import Challenge
from app.protocol.scope import words_of

Say = Callable[[str], None]


async def signed_in(
    http: httpx2.AsyncClient, options: Options, challenge: Challenge, record: Record | None, needed: str, say: Say
) -> Record:
    """`record` is what is kept, `needed` the scope that a refused call lacked. Raises Fault."""
    door = await discovered(http, options.url, challenge)
    if record is not None and record.issuer != door.issuer:
        record = None  # who we were and what we hold there is not for this one (MCP "Authorization Server Binding")
    scope = wanted(options, door, challenge, record, needed)
    if options.way is Way.machine:
        client = known(options, door, record, "")
        if client is None:
            raise Fault("a client's own credentials need --client-id")
        form = {"grant_type": "client_credentials", "scope": scope, "resource": door.resource}
        tokens = await tokens_for(http, door.needed("token_endpoint"), client, form)
    elif options.way is Way.device:
        client, tokens = await _by_device(http, options, door, record, scope, say)
    else:
        client, tokens = await _by_browser(http, options, door, record, scope, say)
    return Record(
        options.url,
        door.issuer,
        door.resource,
        door.needed("token_endpoint"),
        door.endpoint("revocation_endpoint"),
        client,
        tokens,
        scope,
    )


def wanted(options: Options, door: FrontDoor, challenge: Challenge, record: Record | None, needed: str) -> str:
    """MCP "Scope Selection Strategy": as told, else the challenge's, else the resource's; on step-up what there was and what lacked."""
    if needed:
        before = f"{record.asked} {record.tokens.scope if record.tokens else ''}" if record else options.scope
        words = words_of(f"{before} {needed}")
    else:
        words = words_of(options.scope or challenge.values.get("scope")) or list(door.scopes)
    if words and "offline_access" in door.names("scopes_supported") and options.way is not Way.machine:
        words = [*words, "offline_access"]
    return " ".join(dict.fromkeys(words))


async def _by_browser(
    http: httpx2.AsyncClient, options: Options, door: FrontDoor, record: Record | None, scope: str, say: Say
) -> tuple[Client, Tokens]:
    kept = record.client.redirect_uri if record is not None and not options.who else ""
    async with browser.Callback(
        kept if kept and options.redirect_uri == ANY_PORT else options.redirect_uri
    ) as callback:
        client = known(options, door, record, callback.uri) or await registered(http, door, callback.uri)
        url = browser.authorization_url(door, client, callback, scope)
        if record is not None and client == record.client and client.registered and await _is_forgotten(http, url):
            client = await registered(http, door, callback.uri)
            url = browser.authorization_url(door, client, callback, scope)
        browser.show(url, door, say, opens=options.opens_browser)
        code = browser.code_of(await callback.answer(), door)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback.uri,
        "code_verifier": callback.verifier,
        "resource": door.resource,
        "scope": "",
    }
    tokens = await tokens_for(http, door.needed("token_endpoint"), client, form)
    return client, tokens if tokens.scope else replace(tokens, scope=scope)


async def _by_device(
    http: httpx2.AsyncClient, options: Options, door: FrontDoor, record: Record | None, scope: str, say: Say
) -> tuple[Client, Tokens]:
    client = known(options, door, record, "") or await registered(http, door, options.redirect_uri)
    try:
        tokens = await device.signed_in(http, door, client, scope, say)
    except Denied as fault:
        if fault.word != "invalid_client" or record is None or client != record.client:
            raise
        client = await registered(http, door, options.redirect_uri)
        tokens = await device.signed_in(http, door, client, scope, say)
    return client, tokens if tokens.scope else replace(tokens, scope=scope)


async def _is_forgotten(http: httpx2.AsyncClient, url: str) -> bool:
    """Whether the server would show a person nothing but an error: a registration of ours that it no longer knows.

    It could not redirect such an answer to us (RFC 6749 §4.1.2.1), and somebody would sit in front of it until they give up.
    """
    try:
        async with http.stream("GET", url, headers={"Accept": "text/html"}) as response:
            return response.status_code in (400, 401, 403, 404, 422)
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return False
