"""An agent without an account: it works or pays for a session at a Gatehouse, keeps its token fresh, and calls /mcp with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx2

from app.bridge.faults import Fault
from app.bridge.wallet import Wallet
from app.bridge.wire import Reply, fetched, posted
from app.work.solve import solve, target

MOST_BITS = 26  # a minute of work; a server that asks for more is not to be served
MOST_SECONDS = 600.0  # of work, however long the server would wait
AT_A_TIME = 200_000  # tries between two looks at the clock
WAIT_SECONDS, LOOK_SECONDS = 60.0, 1.0  # for a payment to be seen
ACCEPT = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


class Refusal(Fault):
    """The server's own words; `status` is HTTP's."""

    def __init__(self, reply: Reply) -> None:
        said = reply.document.get("error_description") or reply.document.get("error") or f"HTTP {reply.status}"
        super().__init__(str(said))
        self.status = reply.status


class Agent:
    """`key` is the project's; without one it is a demo. `pays`: rather than work."""

    def __init__(self, http: httpx2.AsyncClient, url: str, key: str, wallet: Wallet | None, *, pays: bool) -> None:
        self._http, self._url, self._key, self._wallet = http, url, key, wallet
        self._pays = pays or not key
        self._started: dict[str, Mapping[str, Any]] = {}  # by quoteId, what a start answered
        self._jwt = self._refresh_token = ""
        self._good_until = 0.0
        self._turn = asyncio.Lock()

    async def start(self, *, pays: bool) -> Mapping[str, Any]:
        """What the server answered, and remembered until it is confirmed."""
        if not self._key:
            answer = await self._post("/api/public/demo/start", {})
            invoice = {"bolt11": answer["invoice"], "amountSats": answer["amountSats"]}
            invoice["expiresAtUnix"] = answer["expiresAtUnix"]
            answer = {"quoteId": answer["sessionId"], "powChallenge": None, "invoice": invoice}
        else:
            answer = await self._post("/api/mcp/start", {"forceLightning": True} if pays else {})
        self._started[str(answer.get("quoteId"))] = answer
        return answer

    async def confirm(self, quote_id: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """With what is given; where that is the quoteId alone, what was started under it is solved or paid first."""
        started = self._started.get(quote_id, {})
        body = {name: value for name, value in given.items() if value is not None} | {"quoteId": quote_id}
        if "challengeHex" not in body and started.get("powChallenge"):
            body |= await self._solved(started["powChallenge"])
        if "signature" in body:
            body["sig"] = body.pop("signature")
        if started.get("invoice") and self._wallet is not None:
            invoice = started["invoice"]
            self._started[quote_id] = {}  # it is not paid twice
            body["preimage"] = await self._wallet.pay(str(invoice["bolt11"]), int(invoice["amountSats"]))
        answer = await self._confirmed(quote_id, body)
        if answer.get("jwt"):
            self._started.pop(quote_id, None)
            self._keep(answer)
        return answer

    async def _confirmed(self, quote_id: str, body: dict[str, Any]) -> Mapping[str, Any]:
        """Waits a while for what was just paid to be seen."""
        until = time.monotonic() + (WAIT_SECONDS if "preimage" in body else 0)
        while True:
            if self._key:
                answer = await self._post("/api/mcp/confirm", body)
            else:
                told = await self._post("/api/public/demo/confirm", {"sessionId": quote_id})
                answer = {"jwt": told["token"], "expiresIn": 600 if told["token"] else 0}
            if answer.get("jwt") or time.monotonic() > until:
                return answer
            await asyncio.sleep(LOOK_SECONDS)

    async def refresh(self, token: str = "") -> Mapping[str, Any]:
        answer = await self._post("/api/mcp/refresh", {"refreshToken": token or self._refresh_token})
        self._keep(answer)
        return answer

    async def look(self, what: str, quote_id: str) -> Mapping[str, Any]:
        """`what`: status or lnurl."""
        return await self._get(f"/api/mcp/{what}/{quote_id}", {"X-LW-Public": self._key})

    async def charge(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self._post("/api/mcp/charge", dict(body), {"Authorization": f"Bearer {await self.token()}"})

    async def usage(self) -> Mapping[str, Any]:
        return await self._get("/api/mcp/usage", {"Authorization": f"Bearer {await self.token()}"})

    async def token(self, refused: str = "") -> str:
        """One that is good for a while: the one there is, refreshed, or of a new session. `refused` is not given again."""
        async with self._turn:
            if self._jwt and self._jwt != refused and time.time() < self._good_until:
                return self._jwt
            if self._refresh_token and not refused:
                try:
                    await self.refresh()
                    return self._jwt
                except Refusal:
                    self._refresh_token = ""  # the session is over
            if self._pays and self._wallet is None:
                raise Fault(
                    "there is no session; start one with liveauth_mcp_start and pay its invoice, or give --wallet-env"
                )
            started = await self.start(pays=self._pays)
            answer = await self.confirm(str(started.get("quoteId")), {})
            if not answer.get("jwt"):
                raise Fault("the server has not seen the payment yet")
            return self._jwt

    async def mcp(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The result of one request to /mcp. Raises Fault with the server's words."""
        message, refused = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)}, ""
        for _ in range(2):
            token = await self.token(refused)
            reply = await posted(
                self._http, f"{self._url}/mcp", ACCEPT | {"Authorization": f"Bearer {token}"}, json=message
            )
            if reply.status != 401:
                break
            refused = token
        fault = reply.document.get("error")
        result = reply.document.get("result")
        if isinstance(fault, dict):
            raise Fault(str(fault.get("message")))
        if reply.status != 200 or not isinstance(result, dict):
            raise Refusal(reply)
        return result

    def _keep(self, answer: Mapping[str, Any]) -> None:
        self._jwt = str(answer["jwt"])
        self._good_until = time.time() + 0.8 * float(answer.get("expiresIn") or 0)
        self._refresh_token = str(answer.get("refreshToken") or self._refresh_token)

    async def _solved(self, challenge: Mapping[str, Any]) -> dict[str, Any]:
        """Without holding up anything else."""
        key, text, bits = (str(challenge[name]) for name in ("projectPublicKey", "challengeHex", "difficultyBits"))
        if not 0 <= int(bits) <= MOST_BITS:
            raise Fault(f"the server asks for {bits} bits of work, which is too much")
        goal = f"{target(int(bits)):064x}"  # not the server's own `targetHex`, which could be out of reach
        until = min(float(challenge["expiresAtUnix"]), time.time() + MOST_SECONDS)
        start, found = 0, None
        while found is None:
            if time.time() > until:
                raise Fault("the work was not done in time; try again")
            found = await asyncio.to_thread(solve, key, text, goal, start=start, tries=AT_A_TIME)
            start += AT_A_TIME
        named = ("challengeHex", "expiresAtUnix", "difficultyBits", "signature")
        return {name: challenge[name] for name in named} | {"nonce": found[0], "hashHex": found[1]}

    async def _post(
        self, path: str, body: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        sent = dict(headers or ({"X-LW-Public": self._key} if self._key else {}))
        return _good(await posted(self._http, f"{self._url}{path}", sent, json=body))

    async def _get(self, path: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        return _good(await fetched(self._http, f"{self._url}{path}", headers))


def _good(reply: Reply) -> Mapping[str, Any]:
    if reply.status != 200:
        raise Refusal(reply)
    return reply.document
