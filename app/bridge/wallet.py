"""Who pays for an agent: a wallet of LNbits, or the pretended one of a server that only pretends; never more than it was told."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx2

from app.bridge.faults import Fault
from app.bridge.wire import fetched, posted
from app.lightning.bolt11 import BadInvoice, decode
from app.settings.lightning_url import PRETEND, NodeUrl


class Wallet:
    """`most` sats in all, for as long as this process lives: whoever speaks to it may be talked into anything."""

    def __init__(self, url: str, server: str, most: int, http: httpx2.AsyncClient) -> None:
        try:
            self._url = NodeUrl(url)
        except ValueError as fault:
            raise Fault(f"the wallet's URL {fault}") from None
        if self._url.kind not in (PRETEND, "lnbits"):
            raise Fault("the wallet must be lnbits://ADMIN-KEY@host, or pretend: where the server pretends too")
        self._server, self._left, self._http = server, most, http

    async def pay(self, bolt11: str, sats: int) -> str:
        """The preimage, in hex. Raises Fault: it is for another amount, there is not enough left, or it was not paid."""
        try:
            found = decode(bolt11)
        except BadInvoice as fault:
            raise Fault(str(fault)) from None
        if found.msat != sats * 1000:
            raise Fault("the invoice is for another amount than was said")
        if sats > self._left:
            raise Fault(f"the invoice is for {sats} sats, and only {self._left} may be spent (--most-sats)")
        self._left -= sats  # also when it fails: nobody knows then whether it was paid
        preimage = await (self._pretended(bolt11) if self._url.kind == PRETEND else self._by_lnbits(bolt11))
        try:
            fits = hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == found.payment_hash
        except ValueError:
            fits = False
        if not fits:
            raise Fault("the wallet says paid, and shows no preimage that fits")
        return preimage

    async def _pretended(self, bolt11: str) -> str:
        reply = await posted(self._http, f"{self._server}/api/public/demo/pay", json={"invoice": bolt11})
        return _text(reply.document, "preimage", reply.status)

    async def _by_lnbits(self, bolt11: str) -> str:
        address, keys = self._url.address("https"), {"X-Api-Key": self._url.secret}
        paid = await posted(self._http, f"{address}/api/v1/payments", keys, json={"out": True, "bolt11": bolt11})
        if preimage := paid.document.get("preimage"):
            return str(preimage)
        payment_hash = _text(paid.document, "payment_hash", paid.status)
        looked = await fetched(self._http, f"{address}/api/v1/payments/{payment_hash}", keys)
        if looked.document.get("paid") is not True:
            raise Fault("the wallet has not paid yet; look at it before you try again")
        return _text(looked.document, "preimage", looked.status)


def _text(document: Any, name: str, status: int) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise Fault(f"the wallet did not pay (HTTP {status})")
    return value
