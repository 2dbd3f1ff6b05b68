"""The conversation of `gatehouse demo`, spoken by Authlib's client and a browser of a few lines, and printed as it goes."""

from __future__ import annotations

import html
import json
import os
import re
import secrets
from typing import Any

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client

from app.cli.console import Refused, say

CALLBACK = "http://127.0.0.1:3030/callback"


class Transcript:
    """Sends, prints what was sent and what came back, and hides the middle of secrets."""

    def __init__(self, http: httpx2.AsyncClient, origin: str) -> None:
        self.http = http
        self.origin = origin
        self.step = 0

    def title(self, words: str) -> None:
        self.step += 1
        say(f"\n{self.step}. {words}")

    async def send(self, method: str, path: str, *, expect: int, **options: Any) -> httpx2.Response:
        """Raises Refused when the answer is not the expected one."""
        response = await self.http.request(method, path if "://" in path else self.origin + path, **options)
        say(f"   > {method} {short(path.removeprefix(self.origin))}")
        self.show(response, expect)
        return response

    def show(self, response: httpx2.Response, expect: int) -> None:
        say(f"   < {response.status_code} {response.reason_phrase}")
        for name in ("www-authenticate", "location"):
            if name in response.headers:
                say(f"   < {name}: {short(response.headers[name])}")
        if response.headers.get("content-type", "").startswith("application/json"):
            say(f"   < {short(json.dumps(response.json()))}")
        if response.status_code != expect:
            raise Refused(f"step {self.step} answered {response.status_code} instead of {expect}")


def short(text: str) -> str:
    """Long words lose their middle, long lines their end."""
    text = re.sub(r"[A-Za-z0-9_.%-]{48,}", lambda match: match[0][:14] + "…" + match[0][-4:], text)
    return text if len(text) <= 400 else text[:400] + "…"


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    if found is None:
        raise Refused(f"the page has no field {name}")
    return html.unescape(found[1])


async def converse(origin: str, email: str, password: str) -> None:
    """Register, sign in, allow, redeem, call, refresh, call again, give back, and see it refused."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # it knows no exception for loopback
    async with httpx2.AsyncClient(timeout=20) as http:
        talk = Transcript(http, origin)
        talk.title("An app finds the MCP address guarded, and learns who guards it (RFC 9728)")
        await talk.send("POST", "/mcp", expect=401, json={})
        await talk.send("GET", "/.well-known/oauth-authorization-server", expect=200)
        talk.title("It registers (RFC 7591)")
        document = {"client_name": "Demo", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
        client_id = (await talk.send("POST", "/register", expect=201, json=document)).json()["client_id"]
        async with AsyncOAuth2Client(
            client_id,
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
            token_endpoint_auth_method="none",  # noqa: S106
            token_endpoint=f"{origin}/token",
        ) as app:
            verifier = secrets.token_urlsafe(48)
            url, state = app.create_authorization_url(f"{origin}/authorize", code_verifier=verifier)
            answer = await _at_the_browser(talk, url, email, password)
            await _with_tokens(talk, app, answer, state, verifier)


async def _at_the_browser(talk: Transcript, url: str, email: str, password: str) -> str:
    """Where the app is answered: its callback with code, state and iss."""
    talk.title(
        f"The user's browser opens the authorization request with its PKCE challenge (RFC 7636); {email} signs in"
    )
    location = (await talk.send("GET", url, expect=303)).headers["location"]
    page = (await talk.send("GET", location, expect=200)).text
    fields = {"csrf": field(page, "csrf"), "req": field(page, "req")}
    signed_in = await talk.send("POST", "/login", expect=303, data=fields | {"email": email, "password": password})
    talk.title("Sees who asks, what for and where the answer goes; and allows it")
    location = (await talk.send("GET", signed_in.headers["location"], expect=303)).headers["location"]
    page = (await talk.send("GET", location, expect=200)).text
    fields = {"csrf": field(page, "csrf"), "req": field(page, "req"), "decision": "allow"}
    location = (await talk.send("POST", "/consent", expect=303, data=fields)).headers["location"]
    answer: str = (await talk.send("GET", location, expect=302)).headers["location"]
    return answer


async def _with_tokens(talk: Transcript, app: AsyncOAuth2Client, answer: str, state: str, verifier: str) -> None:
    talk.title("The app trades the code and its verifier for tokens (RFC 6749 §4.1.3)")
    token = await app.fetch_token(authorization_response=answer, state=state, code_verifier=verifier)
    say(f"   < {short(json.dumps(token))}")
    talk.title("And calls tools in the user's name")
    await _call(talk, token["access_token"], "whoami", 200)
    await _call(talk, token["access_token"], "add_note", 200, text="Hello from the demo")
    talk.title("It refreshes; the refresh token rotates (OAuth 2.1 §4.3)")
    renewed = await app.refresh_token(f"{talk.origin}/token")
    say(f"   < {short(json.dumps(renewed))}")
    await _call(talk, renewed["access_token"], "list_notes", 200)
    talk.title("It gives the connection back (RFC 7009), and is refused within a second")
    talk.show(await app.revoke_token(f"{talk.origin}/revoke", token=renewed["refresh_token"]), 200)
    while (await _asked(talk, renewed["access_token"], "whoami")).status_code == 200:
        continue
    await _call(talk, renewed["access_token"], "whoami", 401)


async def _asked(talk: Transcript, token: str, tool: str, **arguments: str) -> httpx2.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    return await talk.http.post(f"{talk.origin}/mcp", json=message, headers=headers)


async def _call(talk: Transcript, token: str, tool: str, expect: int, **arguments: str) -> None:
    response = await _asked(talk, token, tool, **arguments)
    say(f"   > POST /mcp  tools/call {tool}")
    talk.show(response, expect)
