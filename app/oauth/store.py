"""SQL of the authorization endpoint: what was allowed before, the codes; whom a token stands for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.protocol.next_step import LOCAL_CONSENT
from app.protocol.pending import Pending
from app.protocol.redirect_uri import is_local, shown_host
from app.protocol.types import Client, Consent, Person, Principal, Viewer

# What a client was allowed before it changed was allowed to another one (CIMD draft §6.3).
UNCHANGED = """
NOT EXISTS (SELECT FROM clients c WHERE c.client_id = consents.client_id AND c.changed_at > consents.given_at)
"""
CONSENT = f"""
SELECT scope, given_at FROM consents WHERE user_id = $1 AND client_id = $2 AND redirect_host = $3 AND resource = $4
  AND {UNCHANGED}
"""


async def consent(pool: HotPool, user_id: str, pending: Pending) -> Consent | None:
    """What the user allowed this client before, for the same redirect host and resource, if the client is still the same."""
    row = await pool.fetchrow(CONSENT, user_id, pending.client_id, shown_host(pending.redirect_uri), pending.resource)
    return None if row is None else Consent(frozenset(row["scope"]), row["given_at"])


COUNTS = f"(CAST(:oldest AS timestamptz) IS NULL OR consents.given_at > :oldest) AND {UNCHANGED}"
# Joined, two answers are as old as the older one: else a small one given now would prolong a wide one, and one that was
# given to a page from before the client changed would be taken for one from after it.
REMEMBER_CONSENT = text(f"""
INSERT INTO consents (user_id, client_id, redirect_host, resource, scope, given_at)
VALUES (:user_id, :client_id, :redirect_host, :resource, :scope, :given_at)
ON CONFLICT (user_id, client_id, redirect_host, resource) DO UPDATE SET
  scope = CASE WHEN {COUNTS}
    THEN ARRAY(SELECT DISTINCT unnest(consents.scope || excluded.scope) ORDER BY 1) ELSE excluded.scope END,
  given_at = CASE WHEN {COUNTS} AND NOT excluded.scope @> consents.scope
    THEN LEAST(consents.given_at, excluded.given_at) ELSE excluded.given_at END
""")


async def remember_consent(db: AsyncConnection, user_id: str, pending: Pending, now: datetime) -> None:
    """Adds what was allowed now to what was allowed before, as far as that still counts; else it takes its place."""
    values = {
        "user_id": user_id,
        "client_id": pending.client_id,
        "redirect_host": shown_host(pending.redirect_uri),
        "resource": pending.resource,
        "scope": sorted(pending.scope),
        "given_at": now,
        "oldest": now - LOCAL_CONSENT if is_local(pending.redirect_uri) else None,
    }
    await db.execute(REMEMBER_CONSENT, values)


ADD_CODE = """
INSERT INTO codes
  (fingerprint, client_id, user_id, redirect_uri, redirect_host, code_challenge, scope, resource, expires_at,
   nonce, authenticated_at, pushed_id, dpop_jkt)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (pushed_id) WHERE pushed_id IS NOT NULL DO UPDATE
  SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, authenticated_at = excluded.authenticated_at
  WHERE codes.consumed_at IS NULL AND codes.user_id = excluded.user_id
"""


async def add_code(pool: HotPool, key: bytes, viewer: Viewer, pending: Pending, expires_at: datetime) -> bool:
    """A pushed request gives one code: the same user who reloads gets another in its place, as long as the first was not
    redeemed (RFC 9126 §4). False when the request is used up."""
    done = await pool.execute(
        ADD_CODE,
        key,
        pending.client_id,
        viewer.user_id,
        pending.redirect_uri,
        shown_host(pending.redirect_uri),
        pending.code_challenge,
        list(pending.scope),
        pending.resource,
        expires_at,
        pending.nonce,
        viewer.authenticated_at,
        pending.pushed_id,
        pending.dpop_jkt,
    )
    return bool(done == "INSERT 0 1")


PERSON = (
    "SELECT id, email, name, email_verified_at IS NOT NULL AS verified FROM users WHERE id = $1 AND disabled_at IS NULL"
)


async def person(pool: HotPool, user_id: str) -> Person | None:
    """Whom a token's subject stands for, if that is a user."""
    row = await pool.fetchrow(PERSON, user_id)
    return None if row is None else Person(row["id"], row["email"], row["name"], row["verified"])


# The database itself is asked, not this process's memory of it: a revocation is known here at once.
HOLDER = """
SELECT EXISTS (SELECT FROM revocations WHERE handle = ANY($2::text[]) AND revoked_at >= to_timestamp($3)) AS revoked,
  (SELECT email FROM users WHERE id = $1) AS email,
  ($5::xid IS NULL OR EXISTS (SELECT FROM clients WHERE client_id = $4 AND xmin = $5)) AS same_client
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """What the database adds to a verified token. `email` is absent when its subject is no person."""

    revoked: bool
    email: str | None
    same_client: bool  # who asks is still the one that is remembered


async def holder(pool: HotPool, principal: Principal, asking: Client) -> Holder:
    whose = principal.subject, list(principal.handles), principal.revocable_since
    row = await pool.fetchrow(HOLDER, *whose, asking.client_id, asking.expected_version)
    return Holder(row["revoked"], row["email"], row["same_client"])


OTHER_RESOURCE = "the code is for another resource"
WHY_NOT_REDEEMED = """
SELECT client_id, redirect_uri, code_challenge, resource, expires_at, consumed_at FROM codes WHERE fingerprint = $1
"""


async def why_not_redeemed(
    pool: HotPool,
    key: bytes,
    client_id: str,
    code_challenge: str,
    redirect_uri: str | None,
    audience: str | None,
    now: datetime,
) -> list[str]:
    """For the operator's trace: whoever presents a code is not told what is wrong with it, but for OTHER_RESOURCE alone."""
    row = await pool.fetchrow(WHY_NOT_REDEEMED, key)
    if row is None:
        return ["the code is unknown"]
    reasons = {
        "the code was used before": row["consumed_at"] is not None,
        "the code expired": row["expires_at"] <= now,
        "the code was given to another client": row["client_id"] != client_id,
        "the code_verifier does not fit": row["code_challenge"] != code_challenge,
        "the redirect_uri is not that of the authorization request": redirect_uri not in (None, row["redirect_uri"]),
        OTHER_RESOURCE: audience not in (None, row["resource"]),
    }
    return [reason for reason, holds in reasons.items() if holds] or ["the user was disabled"]
