"""What the crew sends: the jobs of the table, for so many connections, over so many of the rows that are there."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.oauth import store as oauth
from app.protocol.redirect_uri import shown_host
from app.protocol.scope import DEFAULT
from app.protocol.types import Authorization
from app.tokens.issue import access_token
from app.tokens.refresh import RefreshToken, written
from app.tokens.secrets import API_KEY, CODE, fingerprint, new_secret
from bench.grow.crew import Answered, Load
from bench.grow.rows import identifier, secret
from bench.jobs import (
    API_KEY as API_KEY_JOB,
)
from bench.jobs import (
    AUTHORIZE,
    CALL_RAW,
    CLIENT_CREDENTIALS,
    CODE_EXCHANGE,
    INTROSPECTION,
    LEGACY,
    METADATA,
    REFRESH,
    authorization,
    call,
    client_credentials,
    document,
    form,
    introspection,
    redemption,
    request,
)
from bench.scene import CHALLENGE, REDIRECT_URI, Scene

CALLERS = 1000  # whose tokens are presented to /mcp and to /introspect
CROWD = 20_000  # so many that most are met for the first time
CALL_CROWD = "tools/call, any of 20,000 callers"
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Made:
    """`send` is not measured; `sent` is told afterwards how far each connection came."""

    name: str
    send: Callable[[int], Awaitable[Load]]  # given how many requests there may be
    sent: Callable[[list[int]], None] = lambda used: None


class Stock:
    """`active` of these rows are what requests name, by number; the others lie there. No two stocks may share a row."""

    def __init__(self, scene: Scene, rows: range, active: int, connections: int) -> None:
        self._scene, self._slots = scene, connections
        self._chosen = random.Random(1).sample(rows, min(active, len(rows)))
        # Of the connections of the scene's client, which are those with an even number, each belongs to one slot.
        own = [number for number in self._chosen if number % 2 == 0]
        self._families = [own[slot::connections] for slot in range(connections)]
        self._counters: dict[int, int] = {}
        self._place = [0] * connections
        self._tokens = [self._token(number, "/mcp") for number in self._chosen[:CALLERS]]
        self._raw_tokens = [self._token(number, "/raw/mcp") for number in self._chosen[:CALLERS]]
        whose = (self._chosen[place % len(self._chosen)] for place in range(CROWD))
        self._crowd = [self._token(number, "/raw/mcp") for number in whose]

    def jobs(self, only: str = "") -> list[Made]:
        scene, port = self._scene, self._scene.port
        calls = [call(port, token, LEGACY, path="/raw/mcp") for token in self._raw_tokens]
        asked = [introspection(scene, token) for token in self._tokens]
        metadata = request("GET", "/.well-known/oauth-authorization-server", port)
        made = [
            self._same(CALL_RAW, calls, b'"structuredContent"'),
            Made(CALL_CROWD, self._crowded),
            self._same(METADATA, [metadata], b'"issuer"'),
            self._same(INTROSPECTION, asked, b'"active":true'),
            self._same(CLIENT_CREDENTIALS, [client_credentials(scene)], b'"access_token"'),
            Made(API_KEY_JOB, self._keys),
            Made(REFRESH, self._refreshes, self._refreshed),
            Made(CODE_EXCHANGE, self._codes),
            Made(AUTHORIZE, self._authorizations),
        ]
        return [job for job in made if only in job.name]

    def _same(self, name: str, requests: list[bytes], marker: bytes) -> Made:
        async def send(most: int) -> Load:
            return Load(self._dealt(requests), 200, marker)

        return Made(name, send)

    def _dealt(self, requests: list[bytes]) -> list[list[bytes]]:
        """Fewer than connections: each connection sends all of them."""
        if len(requests) < self._slots:
            return [requests] * self._slots
        return [requests[slot :: self._slots] for slot in range(self._slots)]

    def _token(self, number: int, path: str) -> str:
        world, now = self._scene.world, datetime.now(UTC)
        issuer = world.settings.issuer
        who = Authorization(
            identifier("usr", number), self._scene.client_id, ("read",), f"{issuer}{path}", via="authorization_code"
        )
        return access_token(who, world.live.ring, issuer, now=now, lifetime=3600)

    async def _crowded(self, most: int) -> Load:
        """In no order: in each round most of them are new to the server."""
        tokens = random.choices(self._crowd, k=min(most, 20_000))
        calls = [call(self._scene.port, token, LEGACY, path="/raw/mcp") for token in tokens]
        return Load(self._dealt(calls), 200, b'"structuredContent"')

    async def _keys(self, most: int) -> Load:
        named = random.choices(self._chosen, k=min(most, 20_000))
        return Load(
            self._dealt([document("/auth/token", self._scene.port, {"apiKey": secret(API_KEY, n)}) for n in named]),
            200,
            b'"token"',
        )

    async def _authorizations(self, most: int) -> Load:
        scene = self._scene
        first = authorization(scene, scene.client_id)
        named = random.choices(self._chosen_of_ours(), k=min(most, 20_000))
        asked = [first.replace(scene.session.encode(), secret("gh_session_", n).encode()) for n in named]
        return Load(self._dealt(asked), 302, b"code=gh_code_")

    def _chosen_of_ours(self) -> list[int]:
        """Users who have allowed the scene's client."""
        return [number for family in self._families for number in family]

    async def _codes(self, most: int) -> Load:
        """As /authorize would have stored them, for one user after the other."""
        scene, now = self._scene, datetime.now(UTC)
        audience = scene.world.resources.default.audience
        made = [new_secret(CODE) for _ in range(most)]
        host, asks = shown_host(REDIRECT_URI), (list(DEFAULT), audience, now + A_DAY, None, now, None, None)
        rows = [
            (fingerprint(code), scene.client_id, identifier("usr", who), REDIRECT_URI, host, CHALLENGE, *asks)
            for code, who in zip(made, random.choices(self._chosen, k=most), strict=True)
        ]
        await scene.world.pool.executemany(oauth.ADD_CODE, rows)
        requests = [redemption(scene, code) for code in made]
        return Load(self._dealt(requests), 200, b'"refresh_token"', again=False)

    async def _refreshes(self, most: int) -> Load:
        """Each slot goes round its own connections: so no two present tokens of one at once."""
        scene, slots = self._scene, []
        for slot, family in enumerate(self._families):
            requests, counted = [], dict[int, int]()
            for step in range(most // self._slots):
                number = family[(self._place[slot] + step) % len(family)]
                counter = counted.get(number, self._counters.get(number, 0))
                counted[number] = counter + 1
                token = written(RefreshToken(identifier("con", number), counter), scene.world.secrets.refresh)
                fields = {"refresh_token": token, "client_id": scene.client_id}
                requests.append(form("/token", scene.port, grant_type="refresh_token", **fields))
            slots.append(requests)
        return Load(slots, 200, b'"refresh_token"', again=False)

    def _refreshed(self, used: list[int]) -> None:
        for slot, (family, count) in enumerate(zip(self._families, used, strict=True)):
            for step in range(count):
                number = family[(self._place[slot] + step) % len(family)]
                self._counters[number] = self._counters.get(number, 0) + 1
            self._place[slot] += count


def used(answers: list[Answered], slots: int) -> list[int]:
    """As the slots were dealt, back in their order."""
    found = [0] * slots
    for hand, answer in enumerate(answers):
        found[hand :: len(answers)] = answer.used
    return found
