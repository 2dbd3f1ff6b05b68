"""What scopes let an app learn of a person: the same in the id_token and at /userinfo (OpenID Connect Core §5.1, §5.4)."""

from __future__ import annotations

from collections.abc import Collection

from app.protocol.types import Person

SUPPORTED = (
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "name",
    "email",
    "email_verified",
)


def claims_of(person: Person, scope: Collection[str]) -> dict[str, str | bool]:
    """`sub`, and what `profile` and `email` add.

    `email_verified` is true once a link that went to the address by mail was used. Most accounts are made by the owner
    or an admin, who types the address in, and nobody has proven that it is theirs: an app that joins accounts by address
    must look at it.
    """
    claims: dict[str, str | bool] = {"sub": person.user_id}
    if "profile" in scope:
        claims["name"] = person.name
    if "email" in scope:
        claims |= {"email": person.email, "email_verified": person.email_verified}
    return claims
