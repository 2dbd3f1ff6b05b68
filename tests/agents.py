"""An agent without an account, as the seed's client speaks: it works or pays, confirms, charges."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx2

from app.work.solve import solve
from tests.actors import http
from tests.conftest import House


def project(house: House, name: str = "Robots", **options: Any) -> str:
    """The public key of a new project, whose work is done in no time."""
    from app.agents import projects

    async def make() -> str:
        now = house.world.now()
        made = projects.new_project(name, now, **{"bits_floor": 6, "bits_ceiling": 10, **options})
        async with house.world.db.begin() as db:
            assert await projects.add(db, made, now)
        return made.public_key

    return str(house.wait_for(make()))


@dataclass
class Agent:
    """It keeps what it was told last."""

    house: House
    key: str
    http: httpx2.Client = field(default_factory=http)
    jwt: str = "none"
    refresh_token: str = "none"

    def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        return self.http.post(
            f"{self.house.url}{path}", json={} if body is None else body, headers={"X-LW-Public": self.key, **headers}
        )

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.http.get(f"{self.house.url}{path}", headers={"X-LW-Public": self.key, **headers})

    def start(self, **body: Any) -> dict[str, Any]:
        answer = self.post("/api/mcp/start", body)
        assert answer.status_code == 200, answer.text
        started: dict[str, Any] = answer.json()
        return started

    def solved(self, started: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """The body of a confirm, as the seed's client sends it."""
        challenge = started["powChallenge"]
        found = solve(challenge["projectPublicKey"], challenge["challengeHex"], challenge["targetHex"])
        assert found is not None
        return {
            "quoteId": started["quoteId"],
            "challengeHex": challenge["challengeHex"],
            "nonce": found[0],
            "hashHex": found[1],
            "expiresAtUnix": challenge["expiresAtUnix"],
            "difficultyBits": challenge["difficultyBits"],
            "sig": challenge["signature"],
        } | changed

    def confirm(self, body: dict[str, Any]) -> httpx2.Response:
        answer = self.post("/api/mcp/confirm", body)
        if answer.status_code == 200 and answer.json()["jwt"]:
            self.jwt, self.refresh_token = answer.json()["jwt"], answer.json()["refreshToken"]
        return answer

    def work(self) -> dict[str, Any]:
        """All the way, by work."""
        answer = self.confirm(self.solved(self.start()))
        assert answer.status_code == 200, answer.text
        confirmed: dict[str, Any] = answer.json()
        return confirmed

    def pay(self, invoice: str) -> str:
        """The preimage, from the pretend node."""
        answer = self.post("/api/public/demo/pay", {"invoice": invoice})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["preimage"])

    def buy(self, **body: Any) -> dict[str, Any]:
        """All the way, by sats."""
        started = self.start(forceLightning=True, **body)
        self.pay(started["invoice"]["bolt11"])
        answer = self.confirm({"quoteId": started["quoteId"]})
        assert answer.status_code == 200, answer.text
        confirmed: dict[str, Any] = answer.json()
        return confirmed

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.jwt}"}

    def charge(self, sats: Any, **more: Any) -> httpx2.Response:
        return self.http.post(
            f"{self.house.url}/api/mcp/charge", json={"callCostSats": sats, **more}, headers=self.bearer
        )

    def usage(self) -> dict[str, Any]:
        answer = self.http.get(f"{self.house.url}/api/mcp/usage", headers=self.bearer)
        assert answer.status_code == 200, answer.text
        usage: dict[str, Any] = answer.json()
        return usage

    def refresh(self, **body: Any) -> httpx2.Response:
        return self.http.post(f"{self.house.url}/api/mcp/refresh", json={"refreshToken": self.refresh_token, **body})


def agent(house: House, **options: Any) -> Agent:
    """With a project of its own."""
    return Agent(house, project(house, f"Robots {secrets.token_hex(4)}", **options))
