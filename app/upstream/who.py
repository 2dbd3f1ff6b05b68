"""Who somebody is elsewhere, by an id_token or by what a service says of the bearer of a token (OIDC Core §5.3, §5.7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.outside.fetch import Unfetchable
from app.protocol.email import normal_email
from app.protocol.provider import Provider
from app.upstream import id_token, talk
from app.upstream.faults import Away, Untrusted
from app.upstream.talk import Places
from app.world import World

TRUE = (True, 1, "1", "true", "True")  # the last three: services that write their claims as texts
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Somebody:
    """`issuer` and `subject` name them for good; `email` is an address that may be theirs, and is when `verified`."""

    provider: str
    issuer: str
    subject: str
    email: str | None
    verified: bool
    name: str

    @property
    def shown(self) -> str:
        """What they know this account by."""
        return self.email or self.name or self.subject


async def somebody(
    world: World, provider: Provider, at: Places, answer: dict[str, Any], nonce: str, now: datetime
) -> Somebody:
    """Raises Away and Untrusted."""
    if not at.jwks_uri:
        said = await _profile(world, provider, at, answer["access_token"])
        return await _of(world, provider, provider.realm, said, answer["access_token"])
    claims = await _claims(world, provider, at, answer, nonce, now)
    if _member(claims, provider.profile.email) is None and at.userinfo:
        said = await _profile(world, provider, at, answer["access_token"])
        if said.get("sub") != claims["sub"]:  # OIDC Core §5.3.2
            raise Untrusted("its userinfo is about somebody else than its id_token")
        claims = said | claims
    return await _of(world, provider, claims["iss"], claims, answer["access_token"])


async def _claims(
    world: World, provider: Provider, at: Places, answer: dict[str, Any], nonce: str, now: datetime
) -> dict[str, Any]:
    token = answer.get("id_token")
    kid = id_token.kid_of(token)
    try:
        keys = await world.key_sets.keys(at.jwks_uri, kid, now, private=True)
    except Unfetchable as fault:
        raise Away(f"its keys cannot be had: {fault}") from fault
    return id_token.checked(token, keys, id_token.Expected(provider, at.issuer, nonce, answer["access_token"], now))


async def _profile(world: World, provider: Provider, at: Places, access_token: str) -> dict[str, Any]:
    if not at.userinfo:
        raise Away("nothing says who its user is")
    said = await talk.read(world, at.userinfo, access_token, provider.profile.accept)
    if not isinstance(said, dict):
        raise Away("what it says of its user is no object")
    return said


async def _of(world: World, provider: Provider, issuer: str, said: dict[str, Any], access_token: str) -> Somebody:
    profile = provider.profile
    subject = _member(said, profile.subject)
    if isinstance(subject, int) and not isinstance(subject, bool):
        subject = str(subject)
    if not isinstance(subject, str) or not 0 < len(subject) <= id_token.MAX_SUBJECT or not subject.isprintable():
        raise Untrusted("it does not say who its user is")
    email, verified = _member(said, profile.email), profile.verified and _member(said, profile.verified) in TRUE
    if profile.emails_url:
        email, verified = await _primary(world, profile.emails_url, access_token)
    address = normal_email(email) if isinstance(email, str) else None
    names = (_member(said, name) for name in profile.names)
    name = next((name for name in names if isinstance(name, str) and name.strip()), "")
    shown = "".join(sign for sign in name if sign.isprintable()).strip()[:MAX_NAME]
    is_theirs = address is not None and (bool(verified) or provider.trusts_email)
    return Somebody(provider.name, issuer, subject, address, is_theirs, shown)


async def _primary(world: World, url: str, access_token: str) -> tuple[Any, bool]:
    """The one address that is primary, and whether it is verified (GitHub). None where the token may not read them."""
    try:
        listed = await talk.read(world, url, access_token)
    except Away:
        return None, False
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    row = next((row for row in rows if row.get("primary") is True), {})
    return row.get("email"), row.get("verified") is True


def _member(said: Any, path: str) -> Any:
    """`data.attributes.email` is a way down. A claim may have dots in its own name too."""
    if isinstance(said, dict) and path in said:
        return said[path]
    for name in path.split("."):
        said = said.get(name) if isinstance(said, dict) else None
    return said
