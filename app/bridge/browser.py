"""Signing in through the browser: a page on loopback waits for the answer (RFC 8252 §7.3), PKCE (RFC 7636), `state`, `iss` (RFC 9207)."""

from __future__ import annotations

import asyncio
import secrets
import subprocess  # the browser
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from urllib.parse import parse_qs, urlencode, urlsplit

from app.bridge.faults import Fault, quoted
from app.bridge.front_door import FrontDoor
from app.bridge.options import Client
from app.bridge.register import port_of
from app.protocol.pkce import challenge_of

PATIENCE_SECONDS = 300.0  # of a person
HEAD_SECONDS = 10.0
PAGE = (
    "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n"
    "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\n\r\n{body}"
)
HTML = '<!doctype html><meta charset="utf-8"><title>Gatehouse</title><p>{words}'
THANKS = "Done. You can close this window."
NOT_THIS = "This is not the answer that was waited for."


class Callback:
    """Listens on the port of `redirect_uri`, or on any when it names none or it is taken; `uri` says where it came to be."""

    def __init__(self, redirect_uri: str) -> None:
        self._parts = urlsplit(redirect_uri)
        self._port = port_of(redirect_uri)
        self._host = self._parts.hostname or ""
        self.state = secrets.token_urlsafe(24)
        self.verifier = secrets.token_urlsafe(48)
        self.uri = ""

    async def __aenter__(self) -> Callback:
        self._answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        host = "::1" if self._host == "::1" else "127.0.0.1"
        try:
            self._server = await asyncio.start_server(self._visited, host, self._port)
        except OSError:
            try:
                self._server = await asyncio.start_server(self._visited, host, 0)
            except OSError as fault:
                raise Fault(f"nothing can listen on {host} for the browser's answer: {fault.strerror}") from None
        port = self._server.sockets[0].getsockname()[1]
        name = f"[{self._host}]" if ":" in self._host else self._host
        self.uri = self._parts._replace(netloc=f"{name}:{port}").geturl()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    async def answer(self) -> dict[str, str]:
        """The parameters that came with our `state`. Raises Fault when nobody came."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._answer
        except TimeoutError:
            raise Fault(f"nobody signed in within {PATIENCE_SECONDS / 60:.0f} minutes") from None

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(HEAD_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target = head.split(" ", 2)[:2]
            taken = method == "GET" and self._took(target)
            body = HTML.format(words=THANKS if taken else NOT_THIS)
            page = PAGE.format(status="200 OK" if taken else "400 Bad Request", length=len(body), body=body)
            writer.write(page.encode())
            await writer.drain()
        writer.close()

    def _took(self, target: str) -> bool:
        """Whoever does not know `state` is shown the door, and the waiting goes on (RFC 6749 §10.12)."""
        try:
            parts = urlsplit(target)
            given = parse_qs(parts.query, keep_blank_values=True, max_num_fields=50)
        except ValueError:
            return False
        single = {name: values[0] for name, values in given.items() if len(values) == 1}
        ours = secrets.compare_digest(single.get("state", "").encode(), self.state.encode())
        if not ours or parts.path != self._parts.path or len(single) < len(given):
            return False
        if not self._answer.done():
            self._answer.set_result(single)
        return True


def authorization_url(door: FrontDoor, client: Client, callback: Callback, scope: str) -> str:
    """RFC 6749 §4.1.1 with PKCE and RFC 8707. Raises Fault where the server does not do S256, which MCP demands."""
    endpoint = door.needed("authorization_endpoint")
    if "S256" not in door.names("code_challenge_methods_supported"):
        raise Fault(f"{door.issuer} does not say that it does PKCE with S256, so it is not trusted with a sign-in")
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "code_challenge": challenge_of(callback.verifier) or "",
        "code_challenge_method": "S256",
        "state": callback.state,
        "resource": door.resource,
        "scope": scope,
        "prompt": "consent" if "offline_access" in scope.split() else "",
    }
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"


def code_of(answer: Mapping[str, str], door: FrontDoor) -> str:
    """The code, when it is from the server that was asked (RFC 9207 §2.4); nothing of another's answer is shown. Raises Fault."""
    issuer = answer.get("iss")
    if issuer is not None and issuer != door.issuer:
        raise Fault(f"the answer to the sign-in is from another server than {door.issuer}, so it was not used")
    if issuer is None and door.says("authorization_response_iss_parameter_supported"):
        raise Fault(f"the answer to the sign-in does not say that it is from {door.issuer}, so it was not used")
    if "error" in answer:
        why = ": ".join(filter(None, (quoted(answer["error"]), quoted(answer.get("error_description")))))
        raise Fault(f"{door.issuer} did not let you in ({why})")
    if not answer.get("code"):
        raise Fault(f"{door.issuer} answered the sign-in without a code")
    return answer["code"]


def show(url: str, door: FrontDoor, say: Callable[[str], None], *, opens: bool) -> None:
    """Prints the address, and opens it where that is wanted; a browser's own words go nowhere."""
    say(f"to sign in to {door.url}, open {url}")
    if opens:
        silent = subprocess.DEVNULL
        with suppress(OSError):
            subprocess.Popen(
                [sys.executable, "-m", "webbrowser", url],
                stdin=silent,
                stdout=silent,
                stderr=silent,
                start_new_session=True,
            )
