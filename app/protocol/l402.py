"""L402, formerly LSAT: a macaroon that is worth something together with the preimage of its invoice (L402 "protocol-specification").

What clients in the field parse: `macaroon` first and then `invoice`, in the first challenge of the answer; `version` and `token`,
which the newer text of the specification wants, come after them.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from urllib.parse import quote

from app.protocol.macaroon import Macaroon, NotAMacaroon, minted, read
from app.protocol.offer import BadPayment, NoPayment, Offer, Proof, hash_of, preimage_of, tied, unbase64

SCHEMES = ("l402", "lsat")
ID_VERSION = b"\0\0"


def challenge(offer: Offer, keys: tuple[bytes, ...], location: str, token_id: bytes) -> str:
    """The value of WWW-Authenticate. `token_id` is 32 random bytes."""
    token = base64.b64encode(macaroon(offer, keys, location, token_id).serialized()).decode()
    return f'L402 macaroon="{token}", invoice="{offer.invoice}", version="0", token="{token}"'


def macaroon(offer: Offer, keys: tuple[bytes, ...], location: str, token_id: bytes) -> Macaroon:
    """For the one service, its one tool, until it can be used no longer."""
    identifier = ID_VERSION + offer.payment_hash + token_id
    caveats = [
        f"services={offer.service}:0",
        f"{offer.service}_capabilities={capability(offer.tool)}",
        f"{offer.service}_valid_until={int(offer.usable_until.timestamp())}",
    ]
    return minted(_root_key(keys[:1], identifier)[0], location.encode(), identifier, [c.encode() for c in caveats])


def capability(tool: str | None) -> str:
    """What a tool is called in a caveat, where a comma would be the end of it; empty for a token with a budget."""
    return quote(tool or "", safe="")


def proof(credentials: str, keys: tuple[bytes, ...]) -> Proof:
    """What `<macaroon>:<preimage>` stands for. Raises BadPayment for what cannot be read, NoPayment for what is not ours."""
    token, colon, secret = credentials.strip().partition(":")
    if not colon or "," in token:
        raise BadPayment("L402 credentials are one macaroon, a colon, and the preimage")
    preimage = preimage_of(secret.strip())
    try:
        given = read(unbase64(token))
    except NotAMacaroon as fault:
        raise BadPayment("the macaroon cannot be read") from fault
    if len(given.identifier) != 66 or not any(given.is_signed_with(key) for key in _root_key(keys, given.identifier)):
        raise NoPayment("the macaroon is not one of ours, or was altered")
    payment_hash = given.identifier[2:34]
    if payment_hash != hash_of(preimage):
        raise NoPayment("the preimage is not that of the macaroon's invoice")
    service, tools, until = _narrowed_to(given)
    return Proof("L402", payment_hash, preimage, True, given.identifier[34:].hex(), service, tools, until)


def _root_key(keys: tuple[bytes, ...], identifier: bytes) -> list[bytes]:
    """One for each of our keys: derived, so that none has to be stored."""
    return [tied((key,), "l402 root key", identifier.hex()) for key in keys]


def _narrowed_to(given: Macaroon) -> tuple[str, frozenset[str], datetime]:
    """What all caveats together leave. Whoever added one meant something by it: one that we do not know is refused, not
    skipped. Raises NoPayment."""
    service: str | None = None
    tools: frozenset[str] | None = None
    until: int | None = None
    for caveat in given.caveats:
        name, equals, value = caveat.decode("utf-8", "replace").partition("=")
        if name == "services" and equals:
            offered = {part.partition(":")[0].strip() for part in value.split(",")}
            service = service or next(iter(offered))
            if service not in offered:
                raise NoPayment("the macaroon is for another service")
        elif service and name == f"{service}_capabilities":
            words = frozenset(word.strip() for word in value.split(","))
            tools = words if tools is None else tools & words
        elif service and name == f"{service}_valid_until" and value.isascii() and value.isdigit() and len(value) < 12:
            until = int(value) if until is None else min(until, int(value))
        else:
            raise NoPayment("the macaroon has a caveat that is not known here")
    if service is None or tools is None or until is None:
        raise NoPayment("the macaroon is not one of ours")
    return service, tools, datetime.fromtimestamp(until, UTC)
