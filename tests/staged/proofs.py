"""What is raced for: proofs that are good once, put into the database by SQL, as many as are asked for at a time."""

from __future__ import annotations

import json
import os
import random
import secrets
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import asyncpg

from app.payments.model import SESSION
from app.protocol.pkce import challenge_of
from app.tokens.refresh import RefreshToken, written
from app.tokens.secrets import API_KEY, CODE, DEVICE, Secrets, b64, fingerprint, new_id, new_secret
from app.web.sessions import PREFIX as COOKIE
from app.work.challenge import Challenge, Wanted, new_challenge
from app.work.solve import solve
from tests.actors import DEVICE_CODE, PASSWORD
from tests.conftest import SECRET_KEY
from tests.staged.people import EMAIL

VERIFIER, CLIENT, CALLBACK, PUBLIC = "v" * 50, "client_races", "http://127.0.0.1:1/cb", "http://localhost:8000"
RESOURCE = f"{PUBLIC}/mcp"
SECRETS = Secrets.of((SECRET_KEY,))


@dataclass(frozen=True)
class Race:
    """One proof; `path`, `body` and `headers` present it."""

    kind: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def by_form(kind: str, path: str, headers: dict[str, str] | None = None, /, **fields: str) -> Race:
    sort = {"Content-Type": "application/x-www-form-urlencoded"}
    return Race(kind, path, urlencode(fields).encode(), sort | (headers or {}))


def by_json(kind: str, path: str, headers: dict[str, str], **members: object) -> Race:
    return Race(kind, path, json.dumps(members).encode(), headers | {"Content-Type": "application/json"})


Prepared = Callable[[asyncpg.Connection, str, int], Awaitable[list[Race]]]  # for this user, so many


async def codes(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """RFC 6749 §4.1.2: one is answered, the other ends what it was given."""
    made, until = [new_secret(CODE) for _ in range(count)], datetime.now(UTC) + timedelta(hours=1)
    rest = (CLIENT, user_id, CALLBACK, "127.0.0.1", challenge_of(VERIFIER), ["read"], RESOURCE, until)
    names = ("fingerprint", "client_id", "user_id", "redirect_uri", "redirect_host", "code_challenge", "scope")
    rows = [(fingerprint(code), *rest) for code in made]
    await db.copy_records_to_table("codes", records=rows, columns=[*names, "resource", "expires_at"])
    proof = {"grant_type": "authorization_code", "code_verifier": VERIFIER, "client_id": CLIENT}
    return [by_form("code", "/token", **proof, code=code) for code in made]


async def devices(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """RFC 8628 §3.5."""
    made, until = [new_secret(DEVICE) for _ in range(count)], datetime.now(UTC) + timedelta(hours=1)
    rows = [(fingerprint(code), code[-20:], CLIENT, ["read"], RESOURCE, until, 5, user_id, True) for code in made]
    names = ("fingerprint", "user_code", "client_id", "scope", "resource", "expires_at", "poll_interval", "user_id")
    await db.copy_records_to_table("device_codes", records=rows, columns=[*names, "allowed"])
    proof = {"grant_type": DEVICE_CODE, "client_id": CLIENT}
    return [by_form("device", "/token", **proof, device_code=code) for code in made]


async def opened(db: asyncpg.Connection, user_id: str, count: int, jkt: str | None = None) -> list[str]:
    """The first refresh tokens of new connections; `jkt` is of the key that they are bound to."""
    ids, now = [new_id("con") for _ in range(count)], datetime.now(UTC)
    columns = ["id", "user_id", "client_id", "redirect_host", "resource", "scope", "refresh_counter", "created_at"]
    rows = [
        (name, user_id, CLIENT, "127.0.0.1", RESOURCE, ["read"], 0, now, now, now, now + timedelta(days=90), jkt)
        for name in ids
    ]
    columns += ["refreshed_at", "last_used_at", "expires_at", "dpop_jkt"]
    await db.copy_records_to_table("connections", records=rows, columns=columns)
    await db.execute(
        "INSERT INTO audit_events (at, event, detail, actor)"
        " SELECT now(), 'token.issued', jsonb_build_object('connection', id), 'system' FROM unnest($1::text[]) id",
        ids,
    )
    return [written(RefreshToken(name, 0), SECRETS.refresh) for name in ids]


async def refreshes(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """OAuth 2.1 §4.3.1: both are answered, with the same successor."""
    proof = {"grant_type": "refresh_token", "client_id": CLIENT}
    return [by_form("refresh", "/token", **proof, refresh_token=token) for token in await opened(db, user_id, count)]


async def revocations(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """RFC 7009 §2.2: both are told 200, one of them did it."""
    return [by_form("revoke", "/revoke", token=token, client_id=CLIENT) for token in await opened(db, user_id, count)]


async def links(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """A link that signs in: one browser is in, the other is told that it was used."""
    made, now = [secrets.token_urlsafe(24) for _ in range(count)], datetime.now(UTC)
    rows = [(fingerprint(code), "login", user_id, EMAIL, now, now + timedelta(hours=1)) for code in made]
    names = ("fingerprint", "purpose", "user_id", "email", "created_at", "expires_at")
    await db.copy_records_to_table("one_time_links", records=rows, columns=names)
    return [from_page("link", "/login/link/open", code=code) for code in made]


async def invitations(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """An invitation: one makes the account, the other is told that it was accepted, though both chose a password."""
    made, now = [secrets.token_urlsafe(24) for _ in range(count)], datetime.now(UTC)
    rest = (False, True, user_id, now, now + timedelta(days=7))
    rows = [(new_id("inv"), fingerprint(code), f"guest{number}@example.com", *rest) for number, code in enumerate(made)]
    names = ("id", "fingerprint", "email", "is_admin", "mailed", "invited_by", "created_at", "expires_at")
    await db.copy_records_to_table("invitations", records=rows, columns=names)
    return [from_page("invitation", "/invitation", code=code, name="", password=PASSWORD) for code in made]


def from_page(kind: str, path: str, /, **fields: str) -> Race:
    """A form of ours, in a browser of its own."""
    cookie = new_secret(COOKIE)
    csrf = b64(SECRETS.forms.mac(cookie.encode()))
    return by_form(kind, path, {"Cookie": f"gatehouse-8000={cookie}"} | somewhere(), csrf=csrf, **fields)


def somewhere() -> dict[str, str]:
    """An address that has not tried much yet."""
    address = f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"
    return {"X-Forwarded-For": address}


async def charges(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """The same idempotency key: both are told of the one charge. Ten keys and their budgets, so that charges meet there too."""
    made, now, names = [new_secret(API_KEY) for _ in range(10)], datetime.now(UTC), [new_id("key") for _ in range(10)]
    keys = [(name, user_id, name, fingerprint(key), ["read"], now) for name, key in zip(names, made, strict=True)]
    columns = ["id", "user_id", "name", "fingerprint", "scope", "created_at"]
    await db.copy_records_to_table("api_keys", records=keys, columns=columns)
    budgets = [(name, "api_key", user_id, count, now, *ZEROS) for name in names]
    columns = ["id", "kind", "user_id", "allowance_sats", "created_at", *UNUSED]
    await db.copy_records_to_table("budgets", records=budgets, columns=columns)
    return [
        by_json("charge", "/api/mcp/charge", {"Authorization": f"Bearer {made[number % 10]}"}, callCostSats=1,
                idempotencyKey=f"race-{number}")
        for number in range(count)
    ]  # fmt: skip


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
UNUSED = ("funded_sats", "day", "day_free_sats", "day_sats", "day_calls", "last_free_sats", "minute", "minute_calls")
ZEROS = (0, LONG_AGO.date(), 0, 0, 0, 0, LONG_AGO, 0)


async def a_project(db: asyncpg.Connection) -> tuple[str, str]:
    """Its id and its public key."""
    name, key = str(uuid.uuid4()), f"la_pk_{secrets.token_hex(12)}"
    await db.execute(
        "INSERT INTO agent_projects (id, public_key, name, scope, allowance_sats, session_sats, max_calls_per_minute,"
        " bits_floor, bits_ceiling, created_at) VALUES ($1, $2, $1, '{read}', 100, 50, 60, 1, 1, now())",
        name,
        key,
    )
    return name, key


async def work(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """A solved challenge: one becomes a session, the other is told that it was used."""
    _, key = await a_project(db)
    wanted, now = Wanted("session", RESOURCE, key), datetime.now(UTC)
    return [solved(new_challenge(wanted, 1, SECRETS.work, now), key) for _ in range(count)]


def solved(made: Challenge, key: str) -> Race:
    found = solve(key, made.challenge_hex, "7" + "f" * 63)
    assert found is not None
    proof = {"challengeHex": made.challenge_hex, "nonce": found[0], "hashHex": found[1], "sig": made.signature}
    ends = {"expiresAtUnix": made.expires_at, "difficultyBits": made.bits, "quoteId": made.quote_id}
    return by_json("work", "/api/mcp/confirm", {"X-LW-Public": key}, **proof, **ends)


async def payments(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """A paid invoice: one gets the session, the other is told that it was given."""
    project, key = await a_project(db)
    now, made = datetime.now(UTC), [str(uuid.uuid4()) for _ in range(count)]
    rows = [
        (name, os.urandom(32), "lnbcrt", 50, SESSION, project, "{}", now, now + timedelta(hours=1), now)
        for name in made
    ]
    columns = ["id", "payment_hash", "bolt11", "sats", "purpose", "subject", "detail", "created_at", "expires_at"]
    await db.copy_records_to_table("payments", records=rows, columns=[*columns, "settled_at"])
    return [by_json("payment", "/api/mcp/confirm", {"X-LW-Public": key}, quoteId=name) for name in made]
