"""Who pays: the invoices of a 402 or of a tool's answer, at the pretend node, and what they send back in each dialect."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, cast

import httpx2

from app.lightning.bolt11 import decode
from app.lightning.pretend import Pretend
from tests.actors import http
from tests.conftest import House

L402, PAYMENT, X402, PREIMAGE = "L402", "Payment", "x402", "preimage"
DIALECTS = (L402, "LSAT", PAYMENT, X402, PREIMAGE)
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def call(tool: str, meta: dict[str, Any] | None = None, /, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments} | ({"_meta": meta} if meta else {})
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


def b64json(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def unb64json(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@dataclass
class Bill:
    """One offer, as its payer reads it out of an answer."""

    invoice: str
    macaroon: str
    challenge: dict[str, Any]
    accepted: dict[str, Any]

    @staticmethod
    def of(response: httpx2.Response) -> Bill:
        """Of a 402."""
        assert response.status_code == 402, response.text
        first, second = response.headers.get_list("www-authenticate")
        l402 = re.fullmatch(r'L402 macaroon="(.+?)", invoice="(.+?)", version="0", token="\1"', first)
        assert l402, first
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', second))
        (accepted, *_) = json.loads(base64.b64decode(response.headers["payment-required"]))["accepts"]
        bill = Bill(l402[2], l402[1], challenge, accepted)
        assert unb64json(challenge["request"])["methodDetails"]["invoice"] == bill.invoice, "one invoice for all"
        assert accepted["extra"]["invoice"] == bill.invoice
        return bill

    @staticmethod
    def of_tool(response: httpx2.Response) -> Bill:
        """Of an unpaid tool."""
        assert response.status_code == 200, response.text
        result = response.json()["result"]
        assert result["isError"] is True
        (challenge,) = result["_meta"]["org.paymentauth/payment-required"]["challenges"]
        (accepted, *_) = result["structuredContent"]["accepts"]
        assert challenge["request"]["methodDetails"]["invoice"] == accepted["extra"]["invoice"]
        return Bill(accepted["extra"]["invoice"], "", challenge, accepted)

    @property
    def payment_hash(self) -> str:
        return decode(self.invoice).payment_hash

    def credential(self, preimage: str) -> dict[str, Any]:
        return {"challenge": self.challenge, "payload": {"preimage": preimage}}

    def signature(self) -> dict[str, Any]:
        return {"x402Version": 2, "accepted": self.accepted, "payload": {"invoice": self.invoice}}

    def headers(self, dialect: str, preimage: str) -> dict[str, str]:
        """With what a payer comes back."""
        if dialect == X402:
            return {"PAYMENT-SIGNATURE": b64json(self.signature())}
        if dialect == PAYMENT:
            return {"Authorization": f"Payment {b64json(self.credential(preimage))}"}
        if dialect == PREIMAGE:
            return {"Authorization": f"x402 {preimage}"}
        return {"Authorization": f"{dialect} {self.macaroon}:{preimage}"}


@dataclass
class Payer:
    """Somebody with a wallet; with a token, or without."""

    house: House
    token: str | None = None
    path: str = "/mcp"

    def post(self, message: dict[str, Any], headers: dict[str, str] | None = None) -> httpx2.Response:
        mine = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return http().post(f"{self.house.url}{self.path}", json=message, headers={**HEADERS, **mine, **(headers or {})})

    def ask(self, headers: dict[str, str] | None = None, /, **fields: str) -> httpx2.Response:
        """At /token, for a token."""
        form = {"grant_type": "urn:gatehouse:grant-type:payment", **fields}
        return http().post(f"{self.house.url}/token", data=form, headers=headers)

    def pay(self, bill: Bill) -> str:
        """The preimage, in hex."""
        node = cast(Pretend, self.house.world.lightning)
        preimage = cast("bytes | None", self.house.wait_for(node.pay(bill.payment_hash)))
        assert preimage is not None
        return preimage.hex()
