"""What the messages to one server share: session, version, streams taken up again where they broke (MCP "Streamable HTTP")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress

import httpx2

from app.bridge.faults import Fault, Unreachable
from app.bridge.messages import REPEATABLE, Message, read
from app.bridge.mirrored import Mirror
from app.bridge.remote import LATER_SECONDS, Patience, Remote
from app.bridge.stdio import Output
from app.bridge.streams import JSON, STREAM, UNREADABLE, Broken, Place, events, kind, whole

SESSION, VERSION, PLACE = "Mcp-Session-Id", "MCP-Protocol-Version", "Last-Event-ID"
INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
END_SECONDS = 1.0
LONGEST_PAUSE = 30.0


class Conversation:
    """With one server, in whichever era each message is. `timeout` in seconds."""

    def __init__(self, remote: Remote, out: Output, timeout: float) -> None:
        self._remote, self._out, self._timeout = remote, out, timeout
        self._mirror = Mirror()
        self._session = self._version = ""
        self._handshake: Message | None = None
        self._turn = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        self._heard = Place()

    async def request(self, message: Message) -> None:
        """Passes on everything up to the answer. Raises Fault when there will be none."""
        if message.method == "initialize":
            self._handshake, self._session, self._version = message, "", ""
        patience = Patience(min(LATER_SECONDS, self._timeout), message.method in REPEATABLE)
        while True:
            place = Place()
            try:
                async with self._posted(message) as response:
                    if await self._took(message, response, place):
                        return
                raise Broken
            except Broken as fault:
                if place.event and not message.is_modern:
                    await self._resumed(message, place)
                    return
                await patience.wait(fault)

    async def notice(self, message: Message) -> None:
        """A notification, or the answer to a request of the server. Raises Fault."""
        async with self._posted(message) as response:
            if response.status_code >= 400:
                raise Fault(f"the server did not take {message.method or 'an answer'} (HTTP {response.status_code})")
        if message.method == "notifications/initialized" and self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def end(self) -> None:
        """Tells the server that the session is over."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._session:
            with suppress(Fault, TimeoutError):
                async with asyncio.timeout(END_SECONDS), self._remote.answer("DELETE", self._common):
                    pass

    def _posted(self, message: Message) -> AbstractAsyncContextManager[httpx2.Response]:
        def sending() -> None:
            message.sent = True

        return self._remote.answer(
            "POST",
            lambda: self._headers(message),
            message.raw,
            repeatable=message.method in REPEATABLE,
            sending=sending,
            lost=None if message.is_modern or message.method == "initialize" else self._found_again,
        )

    def _common(self) -> dict[str, str]:
        """Of a request without a message."""
        given = {"Accept": STREAM, SESSION: self._session, VERSION: self._version}
        return {name: value for name, value in given.items() if value}

    def _headers(self, message: Message) -> dict[str, str]:
        if message.is_modern:  # knows no sessions
            given = {VERSION: message.version, **self._mirror.headers(message)}
        elif message.method == "initialize":
            given = {}
        else:
            given = self._common()
        return {**given, "Accept": f"{JSON}, {STREAM}", "Content-Type": JSON}

    async def _took(self, message: Message, response: httpx2.Response, place: Place, *, passes: bool = True) -> bool:
        """Passes on what came; whether the answer was among it. Raises Fault, or Broken."""
        async for found in self._found(message, response, place):
            answers = message.is_answered_by(found)
            if answers:
                self._learned(message, found, response)
            if passes or not answers:
                await self._out.write(found.raw)
            if answers:
                return True
        return False

    async def _found(self, message: Message, response: httpx2.Response, place: Place) -> AsyncIterator[Message]:
        if response.status_code >= 400:
            yield await self._refusal(message, response)
        elif response.status_code == 200 and kind(response) == STREAM:
            async for found in events(response, place):
                yield found
        elif response.status_code == 200 and kind(response) == JSON:
            messages = await whole(response, self._timeout)
            if not any(message.is_answered_by(found) for found in messages):
                raise Fault(UNREADABLE)
            for found in messages:
                yield found
        else:
            raise Fault(f"the server answered a request with HTTP {response.status_code} and no answer")

    async def _refusal(self, message: Message, response: httpx2.Response) -> Message:
        """The JSON-RPC error of a refused request, in its name: a server that could not read the id says null."""
        found: list[Message] = []
        if kind(response) == JSON:
            with suppress(Fault):
                found = await whole(response, self._timeout)
        if len(found) != 1 or not isinstance(found[0].value.get("error"), dict) or "jsonrpc" not in found[0].value:
            raise Fault(f"the server refused the request (HTTP {response.status_code})")
        return read(json.dumps({**found[0].value, "id": message.value.get("id")}))[0]

    def _learned(self, message: Message, answer: Message, response: httpx2.Response) -> None:
        self._mirror.saw(message, answer)
        result = answer.value.get("result")
        if message.method == "initialize" and isinstance(result, dict):
            version, session = result.get("protocolVersion"), response.headers.get(SESSION, "")
            self._version = version if isinstance(version, str) and version.isascii() else ""
            self._session = session if session.isascii() and session.isprintable() else ""
            self._heard = Place()

    async def _resumed(self, message: Message, place: Place) -> None:
        """The rest of a stream (MCP "Resumability"). Raises Broken when it is not to be had."""
        patience = Patience(min(LATER_SECONDS, self._timeout), repeatable=True)
        while True:
            await asyncio.sleep(place.retry)
            before = place.event
            async with self._remote.answer("GET", lambda: {**self._common(), PLACE: place.event}) as response:
                if response.status_code != 200 or kind(response) != STREAM:
                    raise Broken
                with suppress(Broken):
                    if await self._took(message, response, place):
                        return
            if place.event != before:
                patience = Patience(min(LATER_SECONDS, self._timeout), repeatable=True)
            else:
                await patience.wait(Broken())

    async def _listen(self) -> None:
        """What the server says of itself, for as long as there is one that does (MCP "Listening for Messages")."""
        pause = 0.0
        while True:
            try:
                async with self._remote.answer("GET", self._listening_headers, lost=self._found_again) as response:
                    if response.status_code != 200 or kind(response) != STREAM:
                        return
                    async for found in events(response, self._heard):
                        pause = 0.0
                        await self._out.write(found.raw)
            except Unreachable:
                pass
            except Fault:
                return  # a request will say why
            await asyncio.sleep(self._heard.retry + pause)
            pause = min(2 * pause + 1, LONGEST_PAUSE)

    def _listening_headers(self) -> dict[str, str]:
        return {**self._common(), **({PLACE: self._heard.event} if self._heard.event else {})}

    async def _found_again(self, given: Mapping[str, str]) -> bool:
        """After a 404: a new session in the place of the forgotten one, with the same handshake. Raises Fault."""
        lost, handshake = given.get(SESSION), self._handshake
        if not lost or handshake is None:
            return False
        async with self._turn:
            if self._session != lost:
                return True  # another request was first
            version = self._version
            async with self._posted(handshake) as response:
                if not await self._took(handshake, response, Place(), passes=False):
                    raise Broken
            if self._version != version or self._session == lost:
                raise Fault("the server has begun anew and speaks another version; connect again")
            async with self._posted(Message(INITIALIZED, json.loads(INITIALIZED))):
                return True
