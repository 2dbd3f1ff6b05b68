"""A Nostr relay with a wallet behind it (NIP-47), emulated: as far as making and looking up invoices goes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from typing import Any

from app.lightning.nostr import NIP04, NIP44, check, opened, public_of, sealed, signed
from app.lightning.nwc import INFO, REQUEST, RESPONSE
from app.lightning.websocket import CLOSE, TEXT, accepted, frame, read_frame
from tests.nodes import Ledger


class WalletConnect:
    """`url` is what the wallet would show to be pasted. `how`: which encryption it knows."""

    def __init__(self, how: str = NIP44) -> None:
        self.ledger, self._how, self._secret = Ledger(), how, os.urandom(32)
        self._known = os.urandom(32)  # the one caller's
        self._stored: list[dict[str, Any]] = []
        self.says: Any = None  # by the relay in the place of everything, when a test says so
        self._loop, ready = asyncio.new_event_loop(), threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open: list[tuple[asyncio.StreamWriter, str, dict[str, Any]]] = []

        async def serve() -> None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            ready.set()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(serve())
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(10)
        self.relay = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = f"nostr+walletconnect://{public_of(self._secret)}?relay={self.relay}&secret={self._known.hex()}"
        tags = [["encryption", how]] if how == NIP44 else []
        self._stored.append(signed(self._secret, INFO, tags, "make_invoice lookup_invoice", int(time.time())))

    def pay(self, payment_hash: str) -> None:
        self.ledger.invoices[payment_hash].paid = True

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:  # one may be accepting a connection just now
                for writer in self._writers:
                    writer.transport.abort()
                await asyncio.wait(tasks, timeout=0.1)
            await asyncio.sleep(0)  # in which the sockets are closed

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
            assert key
            said = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            writer.write(said + b"Sec-WebSocket-Accept: " + accepted(key[1]) + b"\r\n\r\n")
            while True:
                _, kind, payload = await read_frame(reader)
                if kind == CLOSE:
                    return
                if kind == TEXT:
                    self._heard(writer, json.loads(payload))
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self._open = [entry for entry in self._open if entry[0] is not writer]
            writer.close()

    def _say(self, writer: asyncio.StreamWriter, *words: Any) -> None:
        said = words if self.says is None else self.says
        writer.write(frame(TEXT, json.dumps(said).encode(), masked=False))

    def _heard(self, writer: asyncio.StreamWriter, message: list[Any]) -> None:
        if message[0] == "REQ":
            for wanted in message[2:]:
                self._open.append((writer, message[1], wanted))
                for event in self._stored:
                    if _fits(event, wanted):
                        self._say(writer, "EVENT", message[1], event)
            self._say(writer, "EOSE", message[1])
        elif message[0] == "EVENT":
            self._say(writer, "OK", message[1]["id"], True, "")
            self._published(message[1])

    def _published(self, event: dict[str, Any]) -> None:
        for writer, name, wanted in list(self._open):
            if _fits(event, wanted):
                self._say(writer, "EVENT", name, event)
        if event["kind"] == REQUEST:
            self._wallet(check(event, public_of(self._known)))

    def _wallet(self, event: dict[str, Any]) -> None:
        how = NIP44 if ["encryption", NIP44] in event["tags"] else NIP04
        if self.ledger.lies == "away" or how != self._how:
            return
        asked = json.loads(opened(event["content"], self._secret, event["pubkey"]))
        answer = {"result_type": asked["method"], **self._answered(asked["method"], asked.get("params", {}))}
        content = sealed(json.dumps(answer), self._secret, event["pubkey"], how)
        signer = os.urandom(32) if self.ledger.lies == "forged" else self._secret
        self._published(
            signed(signer, RESPONSE, [["p", event["pubkey"]], ["e", event["id"]]], content, int(time.time()))
        )

    def _answered(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "get_info":
            return {"result": {"alias": "wallet", "methods": ["make_invoice", "lookup_invoice", "get_info"]}}
        if method == "make_invoice":
            made = self.ledger.invoice(
                params["amount"] // 1000, params.get("description", ""), params.get("expiry", 3600)
            )
            known = made
        else:
            found = self.ledger.invoices.get(params.get("payment_hash", ""))
            if found is None:
                return {"error": {"code": "NOT_FOUND", "message": "not found"}}
            known = found
        shown = {"type": "incoming", "invoice": known.bolt11, "payment_hash": known.hash, "amount": known.sats * 1000}
        shown |= {"created_at": int(time.time()), "expires_at": int(time.time()) + 3600, "fees_paid": 0}
        if known.paid:
            shown |= {"settled_at": int(time.time()), "preimage": self.ledger.shown(known), "state": "settled"}
        return {"result": shown}


def _fits(event: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if event["kind"] not in wanted.get("kinds", [event["kind"]]):
        return False
    if event["pubkey"] not in wanted.get("authors", [event["pubkey"]]):
        return False
    for name, values in wanted.items():
        if name.startswith("#") and not any(tag[0] == name[1:] and tag[1] in values for tag in event["tags"]):
            return False
    return True
