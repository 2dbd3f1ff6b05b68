"""One request to the remote server: let in, repeated where that is right, its redirects looked at (MCP "Authorization")."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from app.bridge.access import Access
from app.bridge.faults import Fault, Unreachable, address
from app.bridge.options import Options
from app.bridge.wire import challenge_of, is_safe, same_origin, unreachable
from app.protocol.scope import words_of

FIRST_SECONDS, LATER_SECONDS = 8.0, 60.0  # of patience with a server that was never seen, and with one that went away
LONGEST_PAUSE = 5.0
MOST_REDIRECTS = 3
MOST_TRIES = 2  # at signing in again, and at asking for more, for one message
BUSY = (429, 502, 503, 504)
DELIVERED = (502, 504)  # by a proxy that has no answer: the server may have been reached


@dataclass(slots=True)
class Patience:
    """Backing off until `seconds` are over; `repeatable`: what may have been carried out may be asked again."""

    seconds: float
    repeatable: bool
    began: float = 0.0
    pause: float = 0.1

    async def wait(self, fault: Unreachable, at_least: float = 0.0) -> None:
        """Raises the fault when it is not to be tried again."""
        now = time.monotonic()
        self.began = self.began or now
        pause = max(at_least, self.pause * random.uniform(0.7, 1.3))  # noqa: S311 - not everybody at once
        if now + pause > self.began + self.seconds or (fault.sent and not self.repeatable):
            raise fault
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        await asyncio.sleep(pause)


@dataclass(slots=True)
class Tries:
    """How often one message was refused, for want of a token, of a scope, of a session."""

    patience: Patience
    refused: int = 0
    stepped: int = 0
    lost: int = 0


Lost = Callable[[Mapping[str, str]], Awaitable[bool]]


class Remote:
    """`is_known` once the server has answered anything."""

    def __init__(self, options: Options, http: httpx2.AsyncClient, access: Access) -> None:
        self._options, self._http, self._access = options, http, access
        self._url = options.url
        self._was_asked: set[str] = set()  # scopes that a person was asked for already
        self.is_known = False

    @asynccontextmanager
    async def answer(
        self,
        method: str,
        headers: Callable[[], Mapping[str, str]],
        body: bytes | None = None,
        *,
        repeatable: bool = True,
        sending: Callable[[], None] = lambda: None,
        lost: Lost | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        """The response, unread, once there is one that is not about getting in. Raises Fault.

        `sending` is called when the request may reach the server; `lost` after a 404, with the headers that were sent: True
        when there is a new session and it is to be tried again.
        """
        seconds = LATER_SECONDS if self.is_known else FIRST_SECONDS
        tries = Tries(Patience(min(seconds, self._options.timeout), repeatable))
        while True:
            given = headers()
            try:
                used = await self._access.token()
                response = await self._sent(method, given, body, used, sending)
            except Unreachable as fault:
                await tries.patience.wait(fault)
                continue
            try:
                self.is_known = True
                if not await self._is_to_repeat(response, used, tries, lost, given):
                    yield response
                    return
            finally:
                await response.aclose()

    async def _is_to_repeat(
        self, response: httpx2.Response, used: str, tries: Tries, lost: Lost | None, given: Mapping[str, str]
    ) -> bool:
        if response.status_code == 401:
            tries.refused += 1
            await self._let_in(response, used, tries.refused)
        elif response.status_code == 403 and challenge_of(response).values.get("error") == "insufficient_scope":
            tries.stepped += 1
            await self._asked_for_more(response, used, tries.stepped)
        elif response.status_code in BUSY:
            await self._come_later(response, tries.patience)
        elif response.status_code == 404 and lost is not None and tries.lost < MOST_TRIES:
            tries.lost += 1
            return await lost(given)
        else:
            return False
        return True

    async def _sent(
        self, method: str, headers: Mapping[str, str], body: bytes | None, token: str, sending: Callable[[], None]
    ) -> httpx2.Response:
        """Follows a redirect that keeps method and origin, such as one that adds a slash; no other sees the credentials."""
        sent = dict(headers) | headers_with(token, self._options)
        for _ in range(MOST_REDIRECTS):
            request = self._http.build_request(method, self._url, headers=sent, content=body)
            sending()
            try:
                async with asyncio.timeout(self._options.timeout):
                    response = await self._http.send(request, stream=True)
            except TimeoutError:
                raise Fault(f"{self._options.url} did not answer within {self._options.timeout:g} s") from None
            except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
                raise unreachable(fault, self._url) from None
            if response.next_request is None:
                return response
            location = str(response.next_request.url)
            await response.aclose()
            if response.next_request.method != method or not same_origin(self._url, location):
                break
            self._url = location
        raise Fault(
            f"{self._options.url} redirects to {address(location)}; if that is right, give that address instead"
        )

    async def _let_in(self, response: httpx2.Response, used: str, refused: int) -> None:
        if refused > MOST_TRIES:
            raise Fault(f"{self._options.url} refuses the token that it was just given")
        try:
            await self._access.renew(used, challenge_of(response), afresh=refused > 1)
        except Unreachable as fault:
            raise Fault(str(fault)) from None

    async def _asked_for_more(self, response: httpx2.Response, used: str, stepped: int) -> None:
        """Step-up (MCP "Runtime Insufficient Scope Errors"), once for each scope: who said no to it meant it."""
        challenge = challenge_of(response)
        needed = " ".join(words_of(challenge.values.get("scope")))
        if stepped > MOST_TRIES or (stepped > 1 and needed in self._was_asked) or not needed:
            raise Fault(f"{self._options.url} wants the scope {needed or 'of another token'}, which was not granted")
        self._was_asked.add(needed)
        await self._access.renew(used, challenge, needed=needed)

    async def _come_later(self, response: httpx2.Response, patience: Patience) -> None:
        status = response.status_code
        said = response.headers.get("retry-after", "")
        fault = Unreachable(f"{self._options.url} is not available (HTTP {status})", sent=status in DELIVERED)
        await patience.wait(fault, float(said) if said.isascii() and said.isdigit() else 0.0)


def headers_with(token: str, options: Options) -> dict[str, str]:
    """What goes with every message to this server, and nowhere else. Raises Fault where others could read it."""
    headers = dict(options.headers)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if "authorization" in {name.lower() for name in headers} and not is_safe(options.url, options.url):
        raise Fault(f"{options.url} is not https, so no credentials are sent there")
    return headers
