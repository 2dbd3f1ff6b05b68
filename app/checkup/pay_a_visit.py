"""The questions, in the order in which a client learns whom to ask: the door, its metadata, the authorization server, its endpoints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx2

from app.checkup.answer import Answer
from app.checkup.ask import Asker
from app.checkup.knock import MOST_ADDRESSES, addresses, is_public, knock
from app.checkup.target import Target, appended, inserted, is_web
from app.checkup.visit import Visit, origin_of

CALLBACK = "http://127.0.0.1:3030/callback"
STRANGER = "gatehouse-doctor-unknown-client"
MADE_UP = "gatehouse-doctor-made-up-token"
ROUNDS = 5
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
INITIALIZE = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "gatehouse-doctor", "version": "1"},
        },
    }
).encode()
REGISTRATION = {
    "client_name": "gatehouse doctor (to be deleted)",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
    "application_type": "native",
}
NO_REGISTER = "it writes a client into the server; --register does it"


async def pay_a_visit(target: Target, now: Callable[[], datetime], browser: str, *, register: bool) -> Visit:
    """Asks everything. `register` leaves a client behind where the server offers no way to delete it."""
    visit = Visit(target, now(), browser)
    found, why = await addresses(target.host, target.port)
    visit = replace(visit, addresses=tuple(found), no_addresses=why)
    if why:
        return replace(visit, unreachable=why)
    context = httpx2.create_ssl_context()
    tls = context if target.is_https else None
    knocks = await asyncio.gather(
        *(knock(address, target.port, tls, target.host) for address in found[:MOST_ADDRESSES])
    )
    visit = replace(visit, knocks=tuple(knocks))
    open_ones = [each.address for each in knocks if not each.problem]
    if not open_ones:
        connected = any(each.connected for each in knocks)
        return replace(
            visit, unreachable="no client goes on without valid TLS" if connected else "nobody could be connected to"
        )
    async with Asker(context, now, private=not any(map(is_public, found))) as asker:
        asker.knows(target.host, target.port, open_ones)
        visit = await _ask(visit, _door(asker, visit))
        visit = await _ask(visit, _resource(asker, visit))
        visit = await _ask(visit, _server(asker, visit))
        visit = await _ask(visit, _endpoints(asker, visit))
        if register:
            visit = await _registered(asker, visit)
        else:
            visit = replace(
                visit, not_asked={**visit.not_asked, "register": NO_REGISTER, "authorize registered": NO_REGISTER}
            )
        return replace(visit, milliseconds=await _rounds(asker, visit))


Questions = dict[str, Coroutine[Any, Any, Answer]]


async def _ask(visit: Visit, questions: Questions) -> Visit:
    answers = await asyncio.gather(*questions.values())
    return replace(visit, answers={**visit.answers, **dict(zip(questions, answers, strict=True))})


def _door(asker: Asker, visit: Visit) -> Questions:
    url = visit.target.url
    questions = {
        "post": asker.ask("POST", url, JSON, INITIALIZE),
        "get": asker.ask("GET", url, {"Accept": "text/event-stream"}),
        "made-up token": asker.ask("POST", url, JSON | {"Authorization": f"Bearer {MADE_UP}"}, INITIALIZE),
        "post as Claude": asker.ask("POST", url, JSON | {"User-Agent": "Claude-User"}, INITIALIZE),
        "post in browser": asker.ask("POST", url, JSON | {"Origin": visit.browser}, INITIALIZE),
        "preflight mcp": _preflight(asker, visit, url, "POST", "authorization, content-type, mcp-protocol-version"),
    }
    if visit.target.path != "/":
        slashed = visit.target.url.replace(visit.target.path, visit.target.path + "/", 1)
        questions["post with slash"] = asker.ask("POST", slashed, JSON, INITIALIZE)
    return questions


def _resource(asker: Asker, visit: Visit) -> Questions:
    path = inserted(visit.target.url, "oauth-protected-resource")
    root = inserted(visit.target.origin, "oauth-protected-resource")
    questions = {"resource at path": _get(asker, path)}
    if root != path:
        questions["resource at root"] = _get(asker, root)
    named = visit.challenge.values.get("resource_metadata", "") if visit.challenge else ""
    if is_web(named):
        questions["resource of header"] = _get(asker, named)
    return questions


def _server(asker: Asker, visit: Visit) -> Questions:
    issuer, target = visit.issuer, visit.target
    server = inserted(issuer, "oauth-authorization-server")
    questions = {
        "server metadata": _get(asker, server),
        "openid": _get(asker, appended(issuer, "openid-configuration")),
        "preflight server metadata": _preflight(asker, visit, server, "GET", "mcp-protocol-version"),
        "preflight resource": _preflight(
            asker, visit, inserted(target.url, "oauth-protected-resource"), "GET", "mcp-protocol-version"
        ),
    }
    if target.path != "/":
        questions["server metadata at path"] = _get(asker, inserted(target.url, "oauth-authorization-server"))
        questions["openid at path"] = _get(asker, appended(target.url, "openid-configuration"))
    return questions


def _endpoints(asker: Asker, visit: Visit) -> Questions:
    questions: Questions = {}
    token, register = visit.endpoint("token_endpoint"), visit.endpoint("registration_endpoint")
    authorize, keys = visit.endpoint("authorization_endpoint"), visit.endpoint("jwks_uri")
    if token:
        form = {"grant_type": "authorization_code", "code": "none", "client_id": STRANGER}
        form |= {"redirect_uri": CALLBACK, "code_verifier": "v" * 43, "resource": visit.target.url}
        questions["token"] = asker.ask("POST", token, FORM, urlencode(form).encode())
        questions["preflight token"] = _preflight(asker, visit, token, "POST", "content-type")
    if register:
        questions["preflight register"] = _preflight(asker, visit, register, "POST", "content-type")
    if authorize:
        questions["authorize"] = asker.ask("GET", _authorization(visit, authorize, STRANGER), {"Accept": "text/html"})
    if keys:
        questions["keys"] = _get(asker, keys)
    return questions


async def _registered(asker: Asker, visit: Visit) -> Visit:
    """Registers, sees whether an error comes back with `iss`, and deletes the client where RFC 7592 is offered."""
    url = visit.endpoint("registration_endpoint")
    if not url:
        return visit
    answer = await asker.ask("POST", url, JSON, json.dumps(REGISTRATION).encode(), once=True)
    visit = replace(visit, answers={**visit.answers, "register": answer})
    document = answer.read()[0] or {}
    client_id, authorize = document.get("client_id"), visit.endpoint("authorization_endpoint")
    if answer.status in (200, 201) and isinstance(client_id, str) and authorize:
        asked = _authorization(visit, authorize, client_id)
        visit = await _ask(visit, {"authorize registered": asker.ask("GET", asked, {"Accept": "text/html"})})
    place, token = document.get("registration_client_uri"), document.get("registration_access_token")
    if is_web(place) and origin_of(str(place)) == origin_of(url) and isinstance(token, str) and token.isascii():
        header = {"Authorization": f"Bearer {token}"}
        visit = await _ask(visit, {"unregister": asker.ask("DELETE", str(place), header, once=True)})
    return visit


async def _rounds(asker: Asker, visit: Visit) -> tuple[float, ...]:
    """The same small request, one after another."""
    url = inserted(visit.target.url, "oauth-protected-resource")
    taken: list[float] = []
    for _ in range(ROUNDS):
        answer = await _get(asker, url)
        if answer.fault:
            break
        taken.append(answer.milliseconds)
    return tuple(taken)


def _authorization(visit: Visit, url: str, client_id: str) -> str:
    """A request that a careful server refuses: without a PKCE challenge, so that nothing can come of it."""
    asked = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "state": "doctor"}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked | {'resource': visit.target.url})}"


def _get(asker: Asker, url: str) -> Coroutine[Any, Any, Answer]:
    return asker.ask("GET", url, {"Accept": "application/json", "MCP-Protocol-Version": "2025-11-25"})


def _preflight(asker: Asker, visit: Visit, url: str, method: str, headers: str) -> Coroutine[Any, Any, Answer]:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return asker.ask("OPTIONS", url, asked | {"Origin": visit.browser})
