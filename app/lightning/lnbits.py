"""LNbits: lnbits://INVOICE-KEY@host, lnbits+http://… on this computer. Its webhooks are unsigned: hints."""

from __future__ import annotations

from app.lightning.rest import Rest, preimage_of, text_of
from app.settings.lightning_url import NodeUrl


class Lnbits:
    """The invoice key is enough: it can create and read, and never send."""

    def __init__(self, url: NodeUrl) -> None:
        self.network = url.network
        self._webhook = url.options.get("webhook")
        self._rest = Rest(url.address("https"), {"X-Api-Key": url.secret}, url.options.get("cert"))

    async def invoice(self, sats: int, memo: str, seconds: int, reference: str) -> str:
        asked: dict[str, object] = {
            "out": False,
            "amount": sats,
            "unit": "sat",
            "memo": memo,
            "expiry": seconds,
            "external_id": reference,
        }
        asked |= {"webhook": self._webhook} if self._webhook else {}
        answer = await self._rest.call("POST", "/api/v1/payments", json=asked)
        return text_of(answer, "bolt11" if "bolt11" in answer else "payment_request")

    async def settled(self, payment_hash: str) -> bytes | None:
        answer = await self._rest.call("GET", f"/api/v1/payments/{payment_hash}")
        return preimage_of(answer.get("preimage")) if answer.get("paid") is True else None

    async def close(self) -> None:
        await self._rest.close()
