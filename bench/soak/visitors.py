"""Who comes while the server soaks: everybody at once, each at a steady rate, and some of them rude (bench/soak)."""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import parse_qs, urlencode, urlsplit

from bench.jobs import form, request
from bench.load import BadAnswer, content_length
from bench.scene import CHALLENGE, REDIRECT_URI, VERIFIER, Scene

PATIENCE_SECONDS = 30.0
MOST_AT_ONCE = 400
FIELD = r'name="{}" value="([^"]*)"'


class Unwell(Exception):
    """The server said 503: this visit is over."""


@dataclass
class Answer:
    status: int
    head: bytes
    body: bytes

    @property
    def json(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.body)
        return found

    @property
    def location(self) -> str:
        found = re.search(rb"(?i)\r\nlocation: ([^\r]*)", self.head)
        return found[1].decode() if found else ""

    def hidden(self, name: str) -> str:
        found = re.search(FIELD.format(name), self.body.decode())
        if found is None:
            raise BadAnswer(f"no field {name}: {self.body[:300]!r}")
        return found[1]


@dataclass
class Visitors:
    """What they share: the connections, the tokens that some of them use, and what they saw."""

    scene: Scene
    tokens: deque[str] = field(default_factory=lambda: deque(maxlen=100))  # fresh ones; of the tools
    seconds: list[float] = field(default_factory=list)  # until the answer was there
    asked: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    unwell: int = 0  # answered with 503
    faults: list[str] = field(default_factory=list)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def ask(self, sent: bytes, *statuses: int) -> Answer:
        """From somewhere in the world. Raises BadAnswer for a status that is none of these (without any: 200)."""
        reader, writer = await self._connection()
        began = time.perf_counter()
        writer.write(from_somewhere(sent))
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            status, length = int(head[9:12]), content_length(head)
            has_chunks = b"transfer-encoding: chunked" in head.lower()
            body = await (_chunks(reader) if has_chunks else reader.readexactly(length or 0))
        self.seconds.append(time.perf_counter() - began)
        self.answers += 1
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self._idle.append((reader, writer))
        if status == 503:
            self.unwell += 1
            raise Unwell
        if status not in (statuses or (200,)):
            raise BadAnswer(f"{sent.splitlines()[0]!r}: {status} {body[:300]!r}")
        return Answer(status, head, body)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()  # the server has closed it, unused for long
        return await asyncio.open_connection("127.0.0.1", self.scene.port)

    @asynccontextmanager
    async def rudely(self, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
        """A connection of its own, closed whatever is still to come."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.scene.port)
        try:
            writer.write(from_somewhere(sent))
            yield reader
        finally:
            writer.transport.abort()

    async def come(self, visits: list[Visit], until: float) -> None:
        """All of them, each as often as it says, until this moment (time.monotonic)."""
        await asyncio.gather(*(self._one_after_the_other(visit, until) for visit in visits))
        await asyncio.wait(self.under_way, timeout=PATIENCE_SECONDS) if self.under_way else None
        for task in list(self.under_way):
            task.cancel()

    async def _one_after_the_other(self, visit: Visit, until: float) -> None:
        began = time.monotonic() + random.random() / visit.per_second
        for number in count():
            due = began + number / visit.per_second
            if due >= until:
                return
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self.under_way) >= MOST_AT_ONCE:
                self.asked["put off"] += 1
                continue
            self.asked[visit.name] += 1
            self.begin(visit.pay(), visit.name)

    def begin(self, visit: Awaitable[object], name: str = "") -> None:
        """What goes wrong is noted."""
        task = asyncio.create_task(self._paid(visit, name))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _paid(self, visit: Awaitable[object], name: str) -> None:
        try:
            await visit
        except Unwell:
            pass
        except (BadAnswer, OSError, TimeoutError, asyncio.IncompleteReadError, KeyError, ValueError) as fault:
            self.faults.append(f"{name}: {type(fault).__name__}: {fault}")

    def token(self) -> str:
        if not self.tokens:
            raise BadAnswer("nobody has a token")
        return random.choice(self.tokens)


@dataclass(frozen=True)
class Visit:
    """`pay` is one visit, which may be many requests."""

    name: str
    per_second: float
    pay: Callable[[], Awaitable[object]]


def from_somewhere(sent: bytes) -> bytes:
    """Some thousands of addresses, so that nobody is told to wait."""
    first, rest = sent.split(b"\r\n", 1)
    address = f"10.{random.randrange(8)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    return b"%s\r\nX-Forwarded-For: %s\r\n%s" % (first, address.encode(), rest)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip() or b"0", 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


@dataclass
class Person:
    """With a browser, whose cookie is `cookie`, and an app."""

    visitors: Visitors
    cookie: str
    client_id: str
    path: str = "/mcp"

    async def connect(self) -> Answer:
        """The code, after a page on which to allow it where nothing is remembered, and the tokens for it (OAuth 2.1 §4.1)."""
        scene, audience = self.visitors.scene, f"{self.visitors.scene.world.settings.issuer}{self.path}"
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT_URI,
            "resource": audience,
        }
        asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": secrets.token_hex(8)}
        place = f"/authorize?{urlencode(asked)}"
        for _ in range(6):
            answer = await self._get(place, 200, 302, 303)
            if answer.status == 200:
                fields = {name: answer.hidden(name) for name in ("csrf", "req")}
                sent = form("/consent", scene.port, **fields, decision="allow")
                answer = await self.visitors.ask(with_header(sent, f"Cookie: {self.cookie}"), 303)
            place = answer.location
            if place.startswith(REDIRECT_URI):
                return await self._redeem(parse_qs(urlsplit(place).query)["code"][0])
        raise BadAnswer(f"never back at the app: {place[:200]}")

    async def _get(self, place: str, *statuses: int) -> Answer:
        return await self.visitors.ask(request("GET", place, self.visitors.scene.port, cookie=self.cookie), *statuses)

    async def _redeem(self, code: str) -> Answer:
        fields = {"redirect_uri": REDIRECT_URI, "client_id": self.client_id, "code_verifier": VERIFIER}
        sent = form("/token", self.visitors.scene.port, grant_type="authorization_code", code=code, **fields)
        return await self.visitors.ask(sent)

    async def live_with(self, answer: Answer, refreshes: int, pause: float) -> None:
        """One refresh after the other, and at the end all of it is given back. Meanwhile others use the token."""
        port, tokens, shared = self.visitors.scene.port, answer.json, self.visitors.tokens
        for _ in range(refreshes):
            if self.path == "/mcp":
                shared.append(tokens["access_token"])
            await asyncio.sleep(random.uniform(0, 2 * pause))
            if tokens["access_token"] in shared:
                shared.remove(tokens["access_token"])
            fields = {"refresh_token": tokens["refresh_token"], "client_id": self.client_id}
            tokens = (await self.visitors.ask(form("/token", port, grant_type="refresh_token", **fields))).json
        await asyncio.sleep(5)  # until nobody is on the way with it
        gone = {"token": tokens["refresh_token"], "client_id": self.client_id}
        await self.visitors.ask(form("/revoke", port, **gone))


def app_metadata(**more: object) -> dict[str, object]:
    metadata = {"redirect_uris": [REDIRECT_URI], "client_name": f"Soak {secrets.token_hex(6)}"}
    return metadata | {"token_endpoint_auth_method": "none", **more}


def with_header(sent: bytes, line: str) -> bytes:
    first, rest = sent.split(b"\r\n", 1)
    return b"%s\r\n%s\r\n%s" % (first, line.encode(), rest)
