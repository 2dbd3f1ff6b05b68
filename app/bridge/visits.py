"""What each command does with a server: connect, sign in, sign out, say who we are there."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2

from app.bridge.access import NONE, Access
from app.bridge.conversation import Conversation
from app.bridge.faults import Fault, NotSignedIn
from app.bridge.options import Options, Record
from app.bridge.relay import Relay
from app.bridge.remote import Remote, headers_with
from app.bridge.sign_in import Say
from app.bridge.stdio import Output
from app.bridge.vault import Vault
from app.bridge.wire import challenge_of, opened, unreachable
from app.checkup.answer import Challenge

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
HEADERS = {"Accept": "application/json, text/event-stream"}
KNOCK_SECONDS = 30.0


@asynccontextmanager
async def entered(options: Options, say: Say, *, asks: bool = True) -> AsyncIterator[tuple[httpx2.AsyncClient, Access]]:
    async with opened(options) as http:
        yield http, Access(options, http, Vault(options), say, asks=asks)


async def connect(options: Options, say: Say) -> None:
    """Until standard input ends or the process is told to stop. Raises Fault."""
    out = Output()
    async with entered(options, say) as (http, access):
        conversation = Conversation(Remote(options, http, access), out, options.timeout)
        running = asyncio.create_task(Relay(conversation, out, say).run())
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows
                asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        with suppress(asyncio.CancelledError):
            await running


async def login(options: Options, say: Say) -> Record:
    """Signs in, whatever is kept. Raises Fault."""
    async with entered(options, say) as (http, access):
        status, challenge = await _knocked(http, options, "")
        if access.is_fixed:
            raise Fault("a key needs no signing in; leave it to connect")
        if status != 401 and not challenge.values and status < 300:
            raise Fault(f"{options.url} lets everybody in, so there is nothing to sign in to")
        await access.begin(challenge)
        assert access.record is not None
        return access.record


async def logout(options: Options, say: Say) -> bool:
    """Gives the tokens back and forgets them. False: there were none. Raises Fault when they could only be forgotten."""
    async with entered(options, say) as (_, access):
        return await access.gave_up()


async def whoami(options: Options, say: Say) -> dict[str, Any]:
    """What is known of our tokens, after the server was asked whether it takes them. Raises NotSignedIn or Fault."""
    async with entered(options, say, asks=False) as (http, access):
        token = await access.token()
        if not token and not access.is_fixed:
            raise NotSignedIn(f"you are not signed in to {options.url}; run gatehouse login {options.url}")
        status, challenge = await _knocked(http, options, token)
        if status == 401:
            await access.renew(token, challenge)
            token = await access.token()
            status, _ = await _knocked(http, options, token)
        if status == 401:
            raise NotSignedIn(f"{options.url} does not accept your token any more; run gatehouse login {options.url}")
        return _told(options, access.record, token, Vault(options).place)


def _told(options: Options, record: Record | None, token: str, place: str) -> dict[str, Any]:
    if record is None or record.tokens is None:
        return {"server": options.url, "by": options.key_name or "a header"}
    expires = record.tokens.expires_at
    return {
        "server": record.url,
        "issuer": record.issuer,
        "subject": _subject(token),
        "client": record.client.client_id,
        "scope": record.tokens.scope,
        "expires": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires)) if expires else "",
        "renews itself": bool(record.tokens.refresh_token),
        "kept in": place,
    }


def _subject(token: str) -> str:
    """Of a token that happens to be a JWT; it is the server's to check, and here only to be shown."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        subject = claims.get("sub", "")
    except (IndexError, ValueError, AttributeError):
        return ""
    return "".join(letter for letter in str(subject)[:200] if letter.isprintable())


async def _knocked(http: httpx2.AsyncClient, options: Options, token: str) -> tuple[int, Challenge]:
    """The status of a ping, and the challenge that came with it. Raises Fault or Unreachable."""
    sent = HEADERS | headers_with(token, options)
    try:
        async with (
            asyncio.timeout(min(KNOCK_SECONDS, options.timeout)),
            http.stream("POST", options.url, headers=sent, json=PING) as response,
        ):
            return response.status_code, challenge_of(response) if response.status_code == 401 else NONE
    except TimeoutError:
        raise Fault(f"{options.url} did not answer in time") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
        raise unreachable(fault, options.url) from None


def stderr_line(text: str) -> None:
    """For people; a host shows it as a log."""
    with suppress(OSError, ValueError):
        print(f"gatehouse: {text}", file=sys.stderr, flush=True)
