"""Rows by the million, each with an id and a secret that follow from its number, so that requests can name any of them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import asyncpg

from app.db.engine import plain_url
from app.protocol.redirect_uri import shown_host
from app.protocol.scope import DEFAULT
from bench.scene import REDIRECT_URI, Scene

CLIENTS = 10  # of so many rows one client: a tenth of the users' number, most of them registered by programs
TRACED = 300_000  # the trace keeps no more
TABLES = ("users", "clients", "connections", "consents", "browser_sessions", "api_keys", "audit_events", "tool_calls")


def _hex(word: str, number: int) -> str:
    return hashlib.md5(f"{word}{number}".encode(), usedforsecurity=False).hexdigest()


def identifier(prefix: str, number: int) -> str:
    """As `new_id` makes them: 96 bits in no order."""
    return f"{prefix}_{_hex(prefix, number)[:24]}"


def secret(prefix: str, number: int) -> str:
    """As `new_secret` makes them."""
    return prefix + _hex(prefix, number) + _hex(prefix, -number)[:11]


def _id(prefix: str, number: str = "n") -> str:
    return f"'{prefix}_' || left(md5('{prefix}' || ({number})), 24)"


def _fingerprint(prefix: str) -> str:
    said = f"'{prefix}' || md5('{prefix}' || n) || left(md5('{prefix}' || (-n)), 11)"
    return f"sha256(convert_to({said}, 'UTF8'))"


# How many, now, the client of the scene, its host, the audience, the scope: named in each statement, whether it needs them all or
# not, so that Postgres knows their types.
GIVEN = "SELECT $1::int AS a, $2::timestamptz AS b, $3::text AS c, $4::text AS d, $5::text AS e, $6::text[] AS f"
_EVERY = "FROM generate_series(1, $1::int) n"
_CLIENT = f"CASE WHEN n % 2 = 0 THEN $3::text ELSE {_id('client', f'1 + n % greatest($1::int / {CLIENTS}, 1)')} END"
_OLD = "$2::timestamptz - n * interval '1 second'"  # a million of them: 12 days
ROWS = {
    "users": "INSERT INTO users (id, email, name, is_admin, created_at, email_verified_at) SELECT "
    f"{_id('usr')}, 'user-' || n || '@example.com', 'Somebody ' || n, false, {_OLD}, {_OLD} {_EVERY}",
    "clients": "INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method,"
    f" metadata, created_at, last_used_at) SELECT {_id('client')}, 'dynamic', 'App ' || n, ARRAY['{REDIRECT_URI}'],"
    " '{authorization_code,refresh_token}', 'none', jsonb_build_object('client_name', 'App ' || n, 'redirect_uris',"
    f" ARRAY['{REDIRECT_URI}'], 'token_endpoint_auth_method', 'none'), {_OLD}, $2"
    f" FROM generate_series(1, greatest($1::int / {CLIENTS}, 1)) n",
    "connections": "INSERT INTO connections (id, user_id, client_id, redirect_host, resource, scope, refresh_counter,"
    f" created_at, refreshed_at, last_used_at, expires_at, authenticated_at) SELECT {_id('con')}, {_id('usr')}, {_CLIENT},"
    f" $4, $5, $6::text[], 0, {_OLD}, $2, $2, {_OLD} + interval '90 days', {_OLD} {_EVERY}",
    "consents": f"INSERT INTO consents SELECT {_id('usr')}, {_CLIENT}, $4, $5, $6::text[], {_OLD} {_EVERY}",
    "browser_sessions": "INSERT INTO browser_sessions (fingerprint, id, user_id, created_at, authenticated_at, last_seen_at,"
    f" expires_at, user_agent, address, method) SELECT {_fingerprint('gh_session_')}, {_id('ses')}, {_id('usr')}, {_OLD}, $2,"
    " $2, $2::timestamptz + interval '7 days', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',"
    f" '192.0.2.' || n % 250, 'password' {_EVERY}",
    "api_keys": "INSERT INTO api_keys (id, user_id, name, fingerprint, scope, created_at, last_used_at) SELECT"
    f" {_id('key')}, {_id('usr')}, 'laptop', {_fingerprint('gh_key_')}, $6::text[], {_OLD}, $2 {_EVERY}",
    "audit_events": "INSERT INTO audit_events (at, event, user_id, client_id, address, actor, actor_id, request_id, detail)"
    f" SELECT $2::timestamptz - ($1 - n) * interval '1 second', 'token.issued', {_id('usr')}, {_CLIENT}, '192.0.2.' || n % 250,"
    f" 'client', {_CLIENT}, left(md5(n::text), 16), jsonb_build_object('grant', 'refresh_token', 'connection', {_id('con')},"
    f" 'scope', array_to_string($6::text[], ' ')) {_EVERY}",
    "tool_calls": "INSERT INTO tool_calls (user_id, day, client_id, tool, calls) SELECT"
    f" {_id('usr')}, ($2::timestamptz - interval '1 day')::date, {_CLIENT}, 'whoami', 1 {_EVERY}",
    "trace_steps": "INSERT INTO trace_steps (at, request_id, what, method, path, status, address, user_agent, links, facts)"
    " SELECT $2::timestamptz - n * interval '1 second', left(md5(n::text), 16), 'token', 'POST', '/token', 200,"
    " '192.0.2.' || n % 250, 'node', '{}', '{\"grant\": \"refresh_token\"}'"
    f" FROM generate_series(1, least($1::int, {TRACED})) n",
}


async def fill(dsn: str, scene: Scene, many: int) -> None:
    """With every index kept. Foreign keys are not looked up for each row: what is written here holds by itself."""
    db = await asyncpg.connect(plain_url(dsn))
    try:
        await db.execute("SET session_replication_role = replica")
        host, audience = shown_host(REDIRECT_URI), scene.world.resources.default.audience
        values = (many, datetime.now(UTC), scene.client_id, host, audience, list(DEFAULT))
        for statement in ROWS.values():
            await db.execute(f"WITH given AS ({GIVEN}) {statement}", *values)
        for table in ROWS:
            await db.execute(f"VACUUM (ANALYZE) {table}")
        await db.execute("CHECKPOINT")
    finally:
        await db.close()


async def sizes(dsn: str) -> dict[str, tuple[int, float, float]]:
    """Rows, bytes a row, and bytes a row with its indexes, by table."""
    db = await asyncpg.connect(plain_url(dsn))
    try:
        found = {}
        for table in TABLES:
            count = await db.fetchval(f"SELECT count(*) FROM {table}")
            heap, whole = await db.fetchrow(f"SELECT pg_table_size('{table}'), pg_total_relation_size('{table}')")
            found[table] = (count, heap / max(count, 1), whole / max(count, 1))
        return found
    finally:
        await db.close()
