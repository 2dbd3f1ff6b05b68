"""Core Lightning's clnrest: clnrest://host:3010?rune=…&cert=/path/ca.pem; a rune for `invoice` and `listinvoices` is enough."""

from __future__ import annotations

from typing import Any

from app.lightning.node import NodeFault
from app.lightning.rest import Rest, preimage_of, text_of
from app.settings.lightning_url import NodeUrl


class Clnrest:
    """Its label is our reference, so that none is made twice."""

    def __init__(self, url: NodeUrl) -> None:
        self.network = url.network
        self._rest = Rest(url.address("https"), {"Rune": url.secret}, url.options.get("cert"))

    async def invoice(self, sats: int, memo: str, seconds: int, reference: str) -> str:
        asked = {"amount_msat": sats * 1000, "label": reference, "description": memo, "expiry": seconds}
        return text_of(await self._rest.call("POST", "/v1/invoice", json=asked), "bolt11")

    async def settled(self, payment_hash: str) -> bytes | None:
        answer = await self._rest.call("POST", "/v1/listinvoices", json={"payment_hash": payment_hash})
        found: Any = answer.get("invoices")
        if not isinstance(found, list):
            raise NodeFault("the node's answer has no invoices")
        for invoice in found:
            if isinstance(invoice, dict) and invoice.get("status") == "paid":
                return preimage_of(invoice.get("payment_preimage"))
        return None

    async def close(self) -> None:
        await self._rest.close()
