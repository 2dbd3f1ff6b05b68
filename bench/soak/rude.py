"""Visitors who do it wrong, come with what they may not, or are gone before they are answered (bench/soak)."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Iterator

from bench.agents import posted
from bench.jobs import LEGACY, call, client_credentials, document, form, request
from bench.remote import asked as stream_of
from bench.soak.person import Person, app_metadata
from bench.soak.visitors import Visit, Visitors

REFUSALS = range(400, 500)
LOWER = {"accept": "application/json, text/event-stream", "content_type": "application/json"}
LONG_BYTES = 2_000_000


class Rude:
    """`own` makes a token for the resource at a path; each of `sign_ins` signs somebody in."""

    def __init__(self, visitors: Visitors, project: str, own: Callable[[str], str], sign_ins: Iterator[bytes]) -> None:
        self.visitors, self.scene, self.port = visitors, visitors.scene, visitors.scene.port
        self.project, self.own, self.sign_ins = project, own, sign_ins

    def all(self) -> list[Visit]:
        return [
            Visit("bad token", 4, self.bad_token),
            Visit("bad request", 4, self.bad_request),
            Visit("replay", 0.3, self.replay),
            Visit("gone in mid-answer", 1, self.leaves_the_answer),
            Visit("gone in mid-request", 1, self.leaves_the_request),
            Visit("gone at once", 1, self.leaves_at_once),
        ]

    async def bad_token(self) -> None:
        token = random.choice(("gh_key_", "eyJhbGciOiJFUzI1NiJ9.e30.", "")) + secrets.token_urlsafe(40)
        await self.visitors.ask(call(self.port, token, LEGACY), *REFUSALS)

    async def bad_request(self) -> None:
        port, noise = self.port, secrets.token_hex(20)
        sent = random.choice(
            (
                document("/register", port, {"redirect_uris": [f"javascript:{noise}"]}),
                request("POST", "/register", port, b"{" * 500, content_type="application/json"),
                form("/token", port, grant_type=noise, client_id=self.scene.client_id),
                form("/token", port, grant_type="refresh_token", refresh_token=f"gh_rt_{noise}", client_id=noise),
                form("/token", port, grant_type="authorization_code", code=noise, client_id=self.scene.client_id),
                request("GET", f"/{noise}", port),
                request("GET", f"/authorize?client_id={noise}", port),
                request("POST", "/mcp", port, noise.encode() * 20, **LOWER, authorization=f"Bearer {self.visitors.token()}"),
                request("POST", "/token", port, b"\0\xff" * 99, content_type="application/x-www-form-urlencoded"),
                posted("/api/mcp/charge", port, {"callCostSats": -1}, self.visitors.token()),
                request("GET", f"/api/mcp/status/{noise}", port, x_lw_public=self.project),
            )
        )  # fmt: skip
        await self.visitors.ask(sent, *REFUSALS)

    async def replay(self) -> None:
        """A refresh token once more after its successor was used: the connection ends."""
        person = Person(self.visitors, self.scene.cookie, self.scene.client_id)
        first = token = (await person.connect()).json["refresh_token"]
        for sent, status in ((None, 200), (None, 200), (first, 400)):
            fields = {"refresh_token": sent or token, "client_id": self.scene.client_id}
            answer = await self.visitors.ask(form("/token", self.port, grant_type="refresh_token", **fields), status)
            token = answer.json.get("refresh_token", "")

    async def leaves_the_answer(self) -> None:
        sent = stream_of(self.port, self.own("/remote/mcp"), length=LONG_BYTES).replace(b" /mcp ", b" /remote/mcp ", 1)
        async with self.visitors.rudely(sent) as reader:
            await asyncio.wait_for(reader.readexactly(random.randrange(200, 200_000)), 30)

    async def leaves_the_request(self) -> None:
        sent = document("/register", self.port, app_metadata())
        async with self.visitors.rudely(sent[: random.randrange(30, len(sent))]):
            await asyncio.sleep(random.uniform(0, 5))

    async def leaves_at_once(self) -> None:
        token = self.visitors.token()
        sent = random.choice((call(self.port, token, LEGACY), client_credentials(self.scene), next(self.sign_ins)))
        async with self.visitors.rudely(sent):
            await asyncio.sleep(random.uniform(0, 0.03))
