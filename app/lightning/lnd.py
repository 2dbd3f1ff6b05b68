"""LND's REST interface: lnd://host:8080?macaroon=HEX&cert=/path/tls.cert; an invoice macaroon is enough."""

from __future__ import annotations

import base64
import binascii

from app.lightning.node import NodeFault
from app.lightning.rest import Rest, preimage_of, text_of
from app.settings.lightning_url import NodeUrl


class Lnd:
    """Amounts and times are strings in its JSON, bytes are base64."""

    def __init__(self, url: NodeUrl) -> None:
        self.network = url.network
        headers = {"Grpc-Metadata-macaroon": url.secret}
        self._rest = Rest(url.address("https"), headers, url.options.get("cert"))

    async def invoice(self, sats: int, memo: str, seconds: int, reference: str) -> str:
        asked = {"value": str(sats), "memo": memo, "expiry": str(seconds), "private": True}
        return text_of(await self._rest.call("POST", "/v1/invoices", json=asked), "payment_request")

    async def settled(self, payment_hash: str) -> bytes | None:
        answer = await self._rest.call("GET", f"/v1/invoice/{payment_hash}")
        if answer.get("state") != "SETTLED":  # ACCEPTED is held, and may yet be canceled
            return None
        try:
            return preimage_of(base64.b64decode(text_of(answer, "r_preimage"), validate=True).hex())
        except binascii.Error:
            raise NodeFault("the node says paid, and shows no preimage") from None

    async def close(self) -> None:
        await self._rest.close()
