"""Who holds the key: DPoP proofs of requests, each used once, with our nonce where one is demanded (RFC 9449 §4.3, §8, §11.1)."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from starlette.requests import Request

from app.protocol.errors import InvalidDpopProof, UseDpopNonce
from app.replay import first_use
from app.tokens.assertions import BadAssertion
from app.tokens.dpop import WINDOW, checked, normal
from app.tokens.secrets import b64
from app.world import World

NONCE_SECONDS = 150  # a nonce is good for this long, and as long again


async def key_of(request: Request, world: World, now: datetime) -> str | None:
    """The thumbprint of the key to which the tokens of this request are to be bound (§5); None without a proof."""
    proofs = request.headers.getlist("dpop")
    if not proofs:
        return None
    urls = addresses(request.headers.get("host", ""), request.scope["path"], world)
    return await holder(proofs, request.method, urls, world, now)


async def holder(
    proofs: list[str], method: str, urls: frozenset[str], world: World, now: datetime, access_token: str | None = None
) -> str:
    """The thumbprint of the key of this proof. Raises InvalidDpopProof and UseDpopNonce: 401 where a token is used, else 400."""
    status = 400 if access_token is None else 401
    if len(proofs) != 1:
        raise InvalidDpopProof("a DPoP proof is needed, once" if proofs else "a DPoP proof is needed", status)
    try:
        proof = checked(proofs[0], method, urls, now, access_token)
    except BadAssertion as fault:
        raise InvalidDpopProof(f"the DPoP proof {fault}", status) from fault
    if world.settings.dpop_nonces and not _is_nonce(proof.nonce, world, now):
        raise UseDpopNonce("the DPoP proof needs the nonce that this answer brings", status, nonce(world, now))
    once = {"made_at": proof.made_at, "epoch": world.epoch}
    if not await first_use(world.pool, "dpop", proof.jkt, proof.jti, now, now + 2 * WINDOW, **once):
        raise InvalidDpopProof("the DPoP proof was used before", status)
    return proof.jkt


def addresses(host: str, path: str, world: World) -> frozenset[str]:
    """What `htu` may be: our own address, and the one that was called if its Host is one of those that are served."""
    settings = world.settings
    called = {f"{settings.issuer}{path}"}
    if host.lower() in settings.accepted_hosts():
        called.add(f"{urlsplit(settings.issuer).scheme}://{host}{path}")
    return frozenset(url for url in map(normal, called) if url)


def nonce(world: World, now: datetime) -> str:
    """The same on every replica, since it is a keyed hash of the time; so none is stored (§8)."""
    return b64(world.secrets.dpop_nonce.mac(_bucket(now)))


def _is_nonce(text: str | None, world: World, now: datetime) -> bool:
    before = now - timedelta(seconds=NONCE_SECONDS)
    return text is not None and text in (nonce(world, now), nonce(world, before))


def _bucket(now: datetime) -> bytes:
    return str(int(now.timestamp()) // NONCE_SECONDS).encode()
