"""What is asked while the server soaks: a little of everything that it does, some hundred requests a second (bench/soak)."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import cycle
from urllib.parse import quote

from app import hashing
from app.lightning.store import pay
from app.protocol.types import Authorization
from app.tokens.issue import access_token
from app.work.solve import solve
from bench import logins
from bench.agents import buyer, new_project, posted
from bench.dpop import Holder
from bench.jobs import LEGACY, MODERN, authorization, call, client_credentials, document, form, introspection, request
from bench.load import BadAnswer
from bench.pages import ROOMS
from bench.scene import Scene
from bench.soak.person import Person, app_metadata
from bench.soak.rude import Rude
from bench.soak.visitors import Answer, Visit, Visitors

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
SESSION = re.compile(rb"(?i)set-cookie: (gatehouse-[0-9]+=gh_session_[^;]+)")
OPEN_SECONDS = 15.0


class Visits:
    """One visit for each of the server's trades."""

    def __init__(self, visitors: Visitors, project: str, emails: list[str]) -> None:
        self.visitors, self.scene, self.port = visitors, visitors.scene, visitors.scene.port
        self.project = project
        self.sign_ins: Iterator[bytes] = logins.requests(self.scene, emails)
        self.pages = cycle(("/", "/account", *ROOMS))
        self.signed: dict[str, str] = {}
        self.holder = Holder(self.scene.world.settings.issuer)
        self.bought: tuple[str, float] = "", 0.0

    def all(self) -> list[Visit]:
        """How often each comes, a second; most are one request, `connect` is ten and `newcomer` eight."""
        return [
            Visit("call", 20, self.call),
            Visit("call of an app that answers at once", 8, self.call_raw),
            Visit("call of a remote backend", 8, self.call_remote),
            Visit("priced call", 3, self.priced),
            Visit("call with DPoP", 1, self.bound),
            Visit("call with an API key", 2, self.by_key),
            Visit("forward-auth", 3, self.forwarded),
            Visit("connect", 1.5, self.connect),
            Visit("newcomer", 0.5, self.newcomer),
            Visit("authorize", 2, self.authorize),
            Visit("registration", 1.5, self.register),
            Visit("device", 0.5, self.device),
            Visit("API key", 4, lambda: self.visitors.ask(document("/auth/token", self.port, {"apiKey": self.scene.api_key}))),
            Visit("client credentials", 4, lambda: self.visitors.ask(client_credentials(self.scene))),
            Visit("introspection", 4, lambda: self.visitors.ask(introspection(self.scene, self.visitors.token()))),
            Visit("metadata", 3, self.metadata),
            Visit("no token", 5, lambda: self.visitors.ask(call(self.port, None, LEGACY), 401)),
            Visit("stream", 1, self.stream),
            Visit("work", 1, self.work),
            Visit("invoice", 0.5, self.invoice),
            Visit("page", 2, self.page),
            *Rude(self.visitors, self.project, self.own, self.sign_ins).all(),
        ]  # fmt: skip

    async def call(self) -> None:
        await self.visitors.ask(call(self.port, self.visitors.token(), random.choice((LEGACY, MODERN))))

    def own(self, path: str) -> str:
        """A token for this resource; every fifth is a new one."""
        if path not in self.signed or random.random() < 0.2:
            world, now = self.scene.world, datetime.now(UTC)
            allowed = Authorization(
                self.scene.user_id, self.scene.client_id, ("read",), f"{world.settings.issuer}{path}", via="authorization_code"
            )  # fmt: skip
            self.signed[path] = access_token(allowed, world.live.ring, world.settings.issuer, now=now, lifetime=60)
        return self.signed[path]

    async def call_raw(self) -> None:
        await self.visitors.ask(call(self.port, self.own("/raw/mcp"), LEGACY, path="/raw/mcp"))

    async def call_remote(self) -> None:
        await self.visitors.ask(call(self.port, self.own("/remote/mcp"), LEGACY, path="/remote/mcp"))

    async def priced(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self.bought[1] > 200:
            self.bought = self.bought[0], now
            self.bought = await buyer(self.scene), now
        if self.bought[0]:
            await self.visitors.ask(call(self.port, self.bought[0], LEGACY, path="/priced/mcp"))

    async def bound(self) -> None:
        sent = self.holder.proven(client_credentials(self.scene), self.holder.proof("/token"))
        token = (await self.visitors.ask(sent)).json["access_token"]
        sent = call(self.port, token, MODERN, "DPoP")
        await self.visitors.ask(self.holder.proven(sent, self.holder.proof("/mcp", token)))

    async def by_key(self) -> None:
        await self.visitors.ask(call(self.port, self.scene.api_key, LEGACY))

    async def forwarded(self) -> None:
        resource = quote(f"{self.scene.world.settings.issuer}/mcp", safe="")
        bearer = f"Bearer {self.visitors.token()}"
        sent = request("GET", f"/forward-auth?resource={resource}", self.port, authorization=bearer)
        await self.visitors.ask(sent)

    async def connect(self) -> None:
        person = Person(self.visitors, self.scene.cookie, self.scene.client_id)
        await person.live_with(await person.connect(), 6, 8)

    async def newcomer(self) -> None:
        """With a new app and a new browser."""
        made = await self.visitors.ask(document("/register", self.port, app_metadata()), 201)
        answer = await self.visitors.ask(next(self.sign_ins), 303)
        cookie = SESSION.findall(answer.head)[-1].decode()
        person = Person(self.visitors, cookie, made.json["client_id"])
        await person.live_with(await person.connect(), 1, 5)

    async def authorize(self) -> None:
        await self.visitors.ask(authorization(self.scene, self.scene.client_id), 302)

    async def register(self) -> None:
        method = random.choice(("none", "client_secret_basic"))
        metadata = app_metadata(token_endpoint_auth_method=method)
        made = (await self.visitors.ask(document("/register", self.port, metadata), 201)).json
        if "registration_access_token" in made and random.random() < 0.5:
            bearer = f"Bearer {made['registration_access_token']}"
            sent = request("DELETE", f"/register/{made['client_id']}", self.port, authorization=bearer)
            await self.visitors.ask(sent, HTTPStatus.NO_CONTENT)

    async def device(self) -> None:
        """Nobody decides (RFC 8628)."""
        metadata = app_metadata(grant_types=[DEVICE_CODE, "refresh_token"], redirect_uris=[])
        client_id = (await self.visitors.ask(document("/register", self.port, metadata), 201)).json["client_id"]
        asked = await self.visitors.ask(form("/device_authorization", self.port, client_id=client_id))
        fields = {"client_id": client_id, "device_code": asked.json["device_code"]}
        await self.visitors.ask(form("/token", self.port, grant_type=DEVICE_CODE, **fields), 400)

    async def metadata(self) -> None:
        path = random.choice(("oauth-authorization-server", "jwks.json", "oauth-protected-resource/mcp"))
        await self.visitors.ask(request("GET", f"/.well-known/{path}", self.port))

    async def stream(self) -> None:
        headers = {"accept": "text/event-stream", "authorization": f"Bearer {self.own('/remote/mcp')}"}
        sent = request("GET", "/remote/mcp", self.port, b"", mcp_protocol_version=LEGACY, **headers)
        async with self.visitors.rudely(sent) as reader:
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            await asyncio.sleep(random.uniform(0, OPEN_SECONDS))

    async def work(self) -> None:
        """A session for one bit of work, and what it buys."""
        started = await self.visitors.ask(posted("/api/mcp/start", self.port, {}, key=self.project))
        asked = json.loads(started.body)
        puzzle = asked["powChallenge"]
        found = solve(self.project, puzzle["challengeHex"], puzzle["targetHex"])
        assert found is not None
        solution = {name: puzzle[name] for name in ("challengeHex", "expiresAtUnix", "difficultyBits", "signature")}
        solution |= {"quoteId": asked["quoteId"], "nonce": found[0], "hashHex": found[1]}
        await self._spend(await self.visitors.ask(posted("/api/mcp/confirm", self.port, solution, key=self.project)))

    async def _spend(self, answer: Answer) -> None:
        token = answer.json["jwt"]
        for sats in (1, 2, 10**9):  # the last is more than anybody has
            await self.visitors.ask(posted("/api/mcp/charge", self.port, {"callCostSats": sats}, token))

    async def invoice(self) -> None:
        started = await self.visitors.ask(
            posted("/api/mcp/start", self.port, {"forceLightning": True}, key=self.project)
        )
        asked = json.loads(started.body)
        if random.random() < 0.5:
            return  # nobody pays
        await pay(self.scene.world.pool, bytes.fromhex(asked["invoice"]["paymentHash"]), datetime.now(UTC))
        sent = posted("/api/mcp/confirm", self.port, {"quoteId": asked["quoteId"]}, key=self.project)
        for _ in range(10):
            await asyncio.sleep(1.5)  # the node is asked once a second, and may be asked just now
            answer = await self.visitors.ask(sent)
            if answer.json["jwt"]:
                return await self._spend(answer)
        raise BadAnswer("what was paid is not seen as paid")

    async def page(self) -> None:
        await self.visitors.ask(request("GET", next(self.pages), self.port, cookie=self.scene.cookie))


async def visits(visitors: Visitors) -> list[Visit]:
    """With what they need set up: people, a project of agents, and tokens from the first moment on."""
    scene: Scene = visitors.scene
    there = Visits(visitors, await new_project(scene), await logins.people(scene))
    # As many at once as there are threads for it, each of which keeps the memory of its first hash.
    await asyncio.gather(*(visitors.ask(next(there.sign_ins), 303) for _ in range(4 * hashing.MOST)))
    for _ in range(10):
        person = Person(visitors, scene.cookie, scene.client_id)
        visitors.begin(person.live_with(await person.connect(), 6, 8))
    return there.all()
