"""A 402 as it is sent, in three dialects over one invoice, and whatever is sent back for it (RFC 9110 §15.5.3, L402, MPP, x402).

The order of the challenges is that which deployed clients can read: L402 first, because two of them look at nothing behind it; never
Bearer beside them, because it hides L402 from another.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.protocol import l402, mpp, x402
from app.protocol.offer import BadPayment, Offer, Proof, canonical, hash_of, moment, preimage_of

PROBLEM = "https://paymentauth.org/problems/payment-required"
DIALECTS = ("L402", "Payment", "x402")
SCHEMES = ("l402", "lsat", "payment", "x402")  # that Authorization may begin with


class Counter:
    """Where offers are made: the keys that tie them to us, our origin, and what the operator's facilitator takes besides."""

    def __init__(self, keys: tuple[bytes, ...], issuer: str, accepts: tuple[dict[str, Any], ...] = ()) -> None:
        self.keys = keys
        self.issuer = issuer
        self.realm = issuer.split("//", 1)[-1]
        self.accepts = accepts

    def headers(self, offer: Offer, token_id: bytes, error: str, now: datetime) -> list[tuple[str, str]]:
        """What makes an answer a 402 that every dialect can pay, in this order."""
        return [
            ("WWW-Authenticate", l402.challenge(offer, self.keys, self.issuer, token_id)),
            ("WWW-Authenticate", mpp.challenge(offer, self.keys, self.realm)),
            (x402.REQUIRED_HEADER, x402.header(self.required(offer, error, now))),
            ("Cache-Control", "no-store"),
        ]

    def required(self, offer: Offer, error: str, now: datetime) -> dict[str, Any]:
        """x402's own document: our invoice first, then what the facilitator takes."""
        seconds = max(1, int((offer.expires_at - now).total_seconds()))
        accepts = [x402.requirements(offer, self.keys, seconds), *self.accepts]
        return x402.required(offer.resource, offer.what, accepts, error)

    def problem(self, offer: Offer, error: str) -> dict[str, Any]:
        """The body: RFC 9457, with the seed's names for programs that read no headers."""
        return {
            "type": PROBLEM,
            "title": "Payment Required",
            "status": 402,
            "detail": f"{offer.what} costs {offer.sats} sats: {error}",
            "error": "payment_required",
            "error_description": error,
            "code": "PAYMENT_REQUIRED",
            "schemes": list(DIALECTS),
            "payment": {
                "method": "lightning",
                "amountSats": offer.sats,
                "bolt11": offer.invoice,
                "paymentHash": offer.payment_hash.hex(),
                "expiresAtUnix": int(offer.expires_at.timestamp()),
                "expiresAt": moment(offer.expires_at),
            },
            "endpoints": {"token": f"{self.issuer}/token"},
        }

    def tool_result(self, offer: Offer, error: str, now: datetime) -> dict[str, Any]:
        """The answer of an unpaid tool: a result, since the revisions of MCP leave no error code for it, that says the same
        to x402 clients (`structuredContent`, and the text) and to MPP ones (`_meta`)."""
        document = self.required(offer, error, now)
        return {
            "content": [{"type": "text", "text": canonical(document).decode()}],
            "structuredContent": document,
            "isError": True,
            "_meta": {mpp.REQUIRED: {"challenges": [mpp.challenge_object(offer, self.keys, self.realm)]}},
        }

    def presented(self, authorization: str, signature: str | None) -> Proof | x402.Chosen | None:
        """The payment in these headers, if there is one. Raises BadPayment, NoPayment, also for two at once."""
        scheme, _, credentials = authorization.partition(" ")
        pays = scheme.lower() in SCHEMES
        if signature is not None:
            if pays:
                raise BadPayment("one payment at a time: two were sent")
            return self._chosen(x402.chosen(signature))
        return self.credential(scheme, credentials.strip()) if pays else None

    def credential(self, scheme: str, credentials: str) -> Proof | x402.Chosen:
        """As behind Authorization; `x402` is a preimage, the seed's invention, or what PAYMENT-SIGNATURE would have."""
        kind = scheme.lower()
        if kind in l402.SCHEMES:
            return l402.proof(credentials, self.keys)
        if kind == "payment":
            return mpp.proof(credentials, self.keys)
        if kind == "x402" and len(credentials) > 64:
            return self._chosen(x402.chosen(credentials))
        if kind == "x402":
            preimage = preimage_of(credentials)
            return Proof("preimage", hash_of(preimage), preimage, False)
        raise BadPayment("the scheme of the payment must be L402, Payment or x402")

    def presented_in(self, meta: object) -> Proof | x402.Chosen | None:
        """The payment in the `_meta` of a call, if there is one. Raises as `presented`."""
        if not isinstance(meta, dict):
            return None
        if mpp.CREDENTIAL in meta:
            return mpp.proof_of_object(meta[mpp.CREDENTIAL], self.keys)
        if x402.PAYMENT in meta:
            return self._chosen(x402.chosen_of_object(meta[x402.PAYMENT]))
        return None

    def _chosen(self, given: x402.Chosen) -> Proof | x402.Chosen:
        return x402.proof(given, self.keys) if given.is_lightning else given
