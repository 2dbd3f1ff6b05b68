"""Somebody with a browser and an app, who connects it, lets it refresh, and takes it back (bench/soak)."""

from __future__ import annotations

import asyncio
import random
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

from bench.jobs import form, request
from bench.load import BadAnswer
from bench.scene import CHALLENGE, REDIRECT_URI, VERIFIER
from bench.soak.visitors import Answer, Visitors


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
