"""Emulators of Lightning nodes that cannot be run here: LND, Core Lightning, phoenixd, LNbits, as far as invoices go.

They are proven by LNbits' own wallet classes (tests/referees/test_lnbits.py), which were written against the real ones.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

from app.lightning.pretend import written

MACAROON, RUNE, PASSWORD, INKEY = "0201036c6e64", "a rune", "a-password", "an-invoice-key"


@dataclass
class Invoice:
    """`seconds` is how long it is good."""

    preimage: bytes
    bolt11: str
    sats: int
    memo: str
    paid: bool = False

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.preimage).hexdigest()


@dataclass
class Ledger:
    """What the node knows; and how it misbehaves, where a test wants it to."""

    invoices: dict[str, Invoice] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    asked: int = 0
    bodies: list[str] = field(default_factory=list)
    awake: threading.Event = field(default_factory=threading.Event)  # until then it is slow
    lies: str = ""  # amount, expiry, hash, network, garbage, preimage, away, slow

    def invoice(self, sats: int, memo: str, seconds: int, preimage: bytes | None = None) -> Invoice:
        preimage = preimage or os.urandom(32)
        payment_hash, at = hashlib.sha256(preimage).digest(), int(time.time())
        prefix, key = "lntb" if self.lies == "network" else "lnbc", 0x1234567
        said = sats * 2 if self.lies == "amount" else sats
        seconds = seconds + 86400 if self.lies == "expiry" else seconds
        bolt11 = written(prefix, key, payment_hash, said, memo, at, seconds)
        found = Invoice(preimage, "lnbc1garbage" if self.lies == "garbage" else bolt11, sats, memo)
        self.invoices[found.hash] = found
        return found

    def shown(self, invoice: Invoice) -> str:
        return "00" * 32 if self.lies == "preimage" else invoice.preimage.hex()


class Node:
    """A server on this computer; `url` is what GATEHOUSE_LIGHTNING_URL would be."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.ledger = ledger = Ledger()
        answer = {"lnd": lnd, "clnrest": clnrest, "phoenixd": phoenixd, "lnbits": lnbits}[kind]

        class Handler(BaseHTTPRequestHandler):
            def _go(self) -> None:
                ledger.asked += 1
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                ledger.bodies.append(unquote(body.decode()))
                if ledger.lies == "slow":
                    ledger.awake.wait(30)
                status, said = answer(ledger, self.command, self.path, dict(self.headers.items()), body)
                if ledger.lies == "away":
                    status, said = 500, {"error": "away"}
                if ledger.lies == "html":
                    said = "<html>"
                raw = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = _go

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{self._server.server_address[1]}"
        self.address = f"http://{host}"
        self.url = {
            "lnd": f"lnd+http://{host}?macaroon={MACAROON}",
            "clnrest": f"clnrest+http://{host}?rune={RUNE}",
            "phoenixd": f"phoenixd://:{PASSWORD}@{host}",
            "lnbits": f"lnbits+http://{INKEY}@{host}",
        }[kind]

    def pay(self, payment_hash: str) -> None:
        self.ledger.invoices[payment_hash].paid = True

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Answer = tuple[int, Any]


def _b64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def lnd(ledger: Ledger, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """lnrpc over REST: int64 are strings, bytes are base64, a hash in the path is hex."""
    if {k.lower(): v for k, v in headers.items()}.get("grpc-metadata-macaroon") != MACAROON:
        return 500, {"code": 2, "message": "verification failed: signature mismatch after caveat verification"}
    if (method, path) == ("POST", "/v1/invoices"):
        asked = json.loads(body)
        given = base64.b64decode(asked["r_preimage"]) if asked.get("r_preimage") else None
        found = ledger.invoice(int(asked["value"]), asked.get("memo", ""), int(asked.get("expiry", 86400)), given)
        return 200, {"r_hash": _b64(found.hash), "payment_request": found.bolt11, "add_index": "1", "payment_addr": ""}
    known = ledger.invoices.get(path.removeprefix("/v1/invoice/"))
    if known is None:
        return 404, {"code": 5, "message": "unable to locate invoice", "details": []}
    paid = {
        "state": "SETTLED",
        "settled": True,
        "amt_paid_sat": str(known.sats),
        "amt_paid_msat": str(known.sats * 1000),
    }
    open_ = {"state": "OPEN", "settled": False, "amt_paid_sat": "0", "amt_paid_msat": "0"}
    shown = {"r_hash": _b64(known.hash), "r_preimage": _b64(ledger.shown(known)), "payment_request": known.bolt11}
    return 200, {**shown, **(paid if known.paid else open_)}


def clnrest(ledger: Ledger, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """Every command is a POST that answers 201, with the fields of `lightning-invoice` and `lightning-listinvoices`."""
    if {k.lower(): v for k, v in headers.items()}.get("rune") != RUNE:
        return 401, {"error": {"code": 1501, "message": "Not authorized: Not derived from master"}}
    asked = json.loads(body or b"{}")
    if path == "/v1/invoice":
        if asked["label"] in ledger.labels:
            return 500, {"code": 900, "message": "Duplicate label"}
        ledger.labels.add(asked["label"])
        given = bytes.fromhex(asked["preimage"]) if asked.get("preimage") else None
        seconds = int(asked.get("expiry", 604800))
        found = ledger.invoice(int(asked["amount_msat"]) // 1000, asked["description"], seconds, given)
        expires_at = int(time.time()) + seconds
        return 201, {"payment_hash": found.hash, "bolt11": found.bolt11, "expires_at": expires_at, "created_index": 1}
    known = [i for i in ledger.invoices.values() if i.hash == asked.get("payment_hash", i.hash)]
    return 201, {"invoices": [_listed(ledger, invoice) for invoice in known]}


def _listed(ledger: Ledger, invoice: Invoice) -> dict[str, Any]:
    shown: dict[str, Any] = {"label": "x", "payment_hash": invoice.hash, "amount_msat": invoice.sats * 1000}
    shown |= {"status": "unpaid", "bolt11": invoice.bolt11, "description": invoice.memo}
    if invoice.paid:
        received = invoice.sats * 1000
        shown |= {"status": "paid", "pay_index": 1, "paid_at": int(time.time()), "amount_received_msat": received}
        shown["payment_preimage"] = ledger.shown(invoice)
    return shown


def phoenixd(ledger: Ledger, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    basic = "Basic " + base64.b64encode(f":{PASSWORD}".encode()).decode()
    if {k.lower(): v for k, v in headers.items()}.get("authorization") != basic:
        return 401, "Invalid authentication (use basic auth with the http password set in phoenix.conf)"
    if path == "/createinvoice":
        asked = {name: values[-1] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        found = ledger.invoice(int(asked["amountSat"]), asked["description"], int(asked.get("expirySeconds", 3600)))
        return 200, {"amountSat": found.sats, "paymentHash": found.hash, "serialized": found.bolt11}
    known = ledger.invoices.get(path.removeprefix("/payments/incoming/"))
    if known is None:
        return 404, "Not found"
    shown = {"paymentHash": known.hash, "preimage": ledger.shown(known), "isPaid": known.paid, "invoice": known.bolt11}
    received = known.sats if known.paid else 0
    times = {"completedAt": int(time.time() * 1000) if known.paid else None, "createdAt": int(time.time() * 1000)}
    return 200, {**shown, "description": known.memo, "receivedSat": received, "fees": 0, **times}


def lnbits(ledger: Ledger, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """As LNbits 1.6.2 was seen to answer; the real one is in tests/referees/test_lnbits.py."""
    if {k.lower(): v for k, v in headers.items()}.get("x-api-key") != INKEY:
        return 401, {"detail": "Invalid Api Key."}
    if (method, path) == ("POST", "/api/v1/payments"):
        asked = json.loads(body)
        found = ledger.invoice(asked["amount"], asked["memo"], asked["expiry"])
        return 201, {"payment_hash": found.hash, "bolt11": found.bolt11, "checking_id": found.hash, "status": "pending"}
    known = ledger.invoices.get(path.removeprefix("/api/v1/payments/"))
    if known is None:
        return 404, {"detail": "Payment does not exist."}
    return 200, {"paid": known.paid, "preimage": ledger.shown(known), "details": {"payment_hash": known.hash}}
