"""phoenixd: phoenixd://:PASSWORD@host:9740, the limited password of its phoenix.conf; plain http, unless it is phoenixd+https."""

from __future__ import annotations

import base64

from app.lightning.rest import Rest, preimage_of, text_of
from app.settings.lightning_url import NodeUrl


class Phoenixd:
    """It takes forms and answers JSON. What it receives may be less than was paid: the fee of its liquidity is its own matter."""

    def __init__(self, url: NodeUrl) -> None:
        self.network = url.network
        self._webhook = url.options.get("webhook")
        basic = base64.b64encode(f":{url.secret}".encode()).decode()
        self._rest = Rest(url.address("http"), {"Authorization": f"Basic {basic}"}, url.options.get("cert"))

    async def invoice(self, sats: int, memo: str, seconds: int, reference: str) -> str:
        asked = {"amountSat": str(sats), "description": memo, "expirySeconds": str(seconds), "externalId": reference}
        asked |= {"webhookUrl": self._webhook} if self._webhook else {}
        return text_of(await self._rest.call("POST", "/createinvoice", data=asked), "serialized")

    async def settled(self, payment_hash: str) -> bytes | None:
        answer = await self._rest.call("GET", f"/payments/incoming/{payment_hash}")
        return preimage_of(answer.get("preimage")) if answer.get("isPaid") is True else None

    async def close(self) -> None:
        await self._rest.close()
