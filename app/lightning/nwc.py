"""Nostr Wallet Connect (NIP-47): the URL as the wallet writes it, nostr+walletconnect://PUBKEY?relay=wss://…&secret=HEX."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from app.lightning.node import NodeFault
from app.lightning.nostr import NIP04, NIP44, BadEvent, check, opened, sealed, signed
from app.lightning.rest import preimage_of, text_of
from app.lightning.secp256k1 import lifted
from app.lightning.websocket import NoWebSocket, WebSocket
from app.settings.lightning_url import NodeUrl

INFO, REQUEST, RESPONSE = 13194, 23194, 23195
SECONDS = 15.0
OF_ANOTHER_SHAPE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)  # than what should be said


class NostrWallet:
    """A connection with make_invoice and lookup_invoice is enough. Each question is a connection to the relay of its own."""

    def __init__(self, url: NodeUrl) -> None:
        self.network, self._wallet = url.network, (url.parts.hostname or "").lower()
        self._relay, self._how = url.options.get("relay", ""), ""
        try:
            self._secret = bytes.fromhex(url.secret)
            lifted(int(self._wallet, 16))
        except ValueError:
            raise ValueError("is no wallet: its key or its secret is not one") from None
        if not self._relay.startswith(("wss://", "ws://")) or len(self._secret) != 32:
            raise ValueError("needs relay=wss://… and a secret of 64 hex digits")

    async def invoice(self, sats: int, memo: str, seconds: int, reference: str) -> str:
        asked = {"amount": sats * 1000, "description": memo, "expiry": seconds}
        return text_of(await self._asked("make_invoice", asked), "invoice")

    async def settled(self, payment_hash: str) -> bytes | None:
        found = await self._asked("lookup_invoice", {"payment_hash": payment_hash})
        if not found.get("settled_at") and found.get("state") != "settled":
            return None
        return preimage_of(found.get("preimage"))

    async def close(self) -> None:
        return None

    async def _asked(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result; an empty one for what the wallet does not know. Raises NodeFault."""
        try:
            async with asyncio.timeout(SECONDS):
                socket = await WebSocket.open(self._relay)
                try:
                    return await self._conversation(socket, method, params)
                finally:
                    await socket.close()
        except (NoWebSocket, BadEvent, OSError, TimeoutError, *OF_ANOTHER_SHAPE) as fault:
            raise NodeFault(f"the wallet does not answer: {type(fault).__name__}") from None

    async def _conversation(self, socket: WebSocket, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if not self._how:
            self._how = await self._encryption(socket)
        content = sealed(json.dumps({"method": method, "params": params}), self._secret, self._wallet, self._how)
        tags = [["p", self._wallet], *([["encryption", NIP44]] if self._how == NIP44 else [])]
        event = signed(self._secret, REQUEST, tags, content, int(time.time()))
        wanted = {"kinds": [RESPONSE], "authors": [self._wallet], "#e": [event["id"]]}
        await socket.send(json.dumps(["REQ", "answer", wanted]))
        await socket.send(json.dumps(["EVENT", event]))
        while True:
            said = json.loads(await socket.receive())
            if said[:1] == ["OK"] and said[1] == event["id"] and said[2] is not True:
                raise NoWebSocket("the relay does not pass it on")
            if said[:2] == ["EVENT", "answer"]:
                answer = check(said[2], self._wallet)
                if answer["kind"] == RESPONSE and ["e", event["id"]] in [tag[:2] for tag in answer["tags"]]:
                    return _result(json.loads(opened(answer["content"], self._secret, self._wallet)), method)

    async def _encryption(self, socket: WebSocket) -> str:
        """What the wallet's info event offers; without one, the old way."""
        await socket.send(json.dumps(["REQ", "info", {"kinds": [INFO], "authors": [self._wallet], "limit": 1}]))
        how = NIP04
        while True:
            said = json.loads(await socket.receive())
            if said[:2] == ["EVENT", "info"]:
                tags = check(said[2], self._wallet)["tags"]
                if any(tag[0] == "encryption" and NIP44 in " ".join(tag[1:]).split() for tag in tags):
                    how = NIP44
            if said[:2] in (["EOSE", "info"], ["CLOSED", "info"]):
                await socket.send(json.dumps(["CLOSE", "info"]))
                return how


def _result(answer: Any, method: str) -> dict[str, Any]:
    if not isinstance(answer, dict) or answer.get("result_type") != method:
        raise NodeFault("the wallet answers something else")
    fault, result = answer.get("error"), answer.get("result")
    if isinstance(fault, dict):
        if fault.get("code") == "NOT_FOUND":
            return {}
        raise NodeFault(f"the wallet refuses: {str(fault.get('code'))[:40]}")
    if not isinstance(result, dict):
        raise NodeFault("the wallet's answer has no result")
    return result
