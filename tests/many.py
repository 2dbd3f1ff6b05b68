"""A hundred thousand of everything that admins list."""

from __future__ import annotations

from tests.conftest import House

MANY = 100_000
ROWS = (
    "INSERT INTO users (id, email, name, is_admin, created_at, disabled_at) SELECT 'usr_' || n, 'user-' || n ||"
    " '@example.com', 'Somebody ' || n, false, :now - n * interval '1 minute',"
    " CASE WHEN n % 50000 = 0 THEN CAST(:now AS timestamptz) END FROM generate_series(1, :many) n",
    "INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method, metadata,"
    " created_at, last_used_at, blocked_at) SELECT CASE WHEN n = 1 THEN 'client_busy' ELSE 'client_' || n END,"
    " CASE WHEN n % 50000 = 0 THEN 'static' ELSE 'dynamic' END, 'App ' || n, '{http://127.0.0.1/cb}',"
    " '{authorization_code}', 'none', '{}', :now - n * interval '1 minute', :now,"
    " CASE WHEN n % 50000 = 0 THEN CAST(:now AS timestamptz) END FROM generate_series(1, :many) n",
    "INSERT INTO connections (id, user_id, client_id, redirect_host, resource, scope, refresh_counter, created_at,"
    " refreshed_at, last_used_at, expires_at) SELECT 'con_' || n, 'usr_' || 1 + n % 1000,"
    " CASE WHEN n % 2 = 0 THEN 'client_busy' ELSE 'client_' || 1 + n % 1000 END, '127.0.0.1', 'r', '{read}', 0,"
    " :now - n * interval '1 minute', :now, :now, :now + interval '30 days' FROM generate_series(1001, :many) n",
    "INSERT INTO api_keys (id, user_id, name, fingerprint, scope, created_at, last_used_at) SELECT 'key_' || n,"
    " 'usr_' || 1 + n % 1000, 'key ' || n, decode(md5(n::text), 'hex'), '{read}', :now - n * interval '10 minutes',"
    " CASE WHEN n % 50000 <> 0 THEN CAST(:now AS timestamptz) END FROM generate_series(1, :many) n",
    "INSERT INTO audit_events (at, event, user_id, client_id, detail) SELECT timestamptz '2020-01-01' +"
    " n * interval '10 minutes', CASE WHEN n % 50000 = 0 THEN 'rare.thing' ELSE 'thing.' || n % 10 END,"
    " 'usr_' || 1 + n % 1000, CASE WHEN n % 2 = 0 THEN 'client_busy' END, '{}' FROM generate_series(1, :many) n",
    "INSERT INTO trace_steps (at, request_id, what, method, path, status, error, address, user_agent, links, facts)"
    " SELECT :now - n * interval '1 second', lpad(to_hex(n), 16, '0'), 'registration', 'POST', '/register', 400,"
    " 'invalid_client_metadata', '192.0.2.' || n % 250, 'agent ' || n % 1000, '{}', '{}'"
    " FROM generate_series(1, :many) n",
)


def swept_out(house: House) -> None:
    """At once, since a hundred thousand deletions, each with its foreign keys, would take longer than the test."""
    house.sql("TRUNCATE users, clients, trace_steps CASCADE")


def fill(house: House) -> None:
    for statement in ROWS:
        typed = statement.replace(":now", "CAST(:now AS timestamptz)").replace(":many", "CAST(:many AS int)")
        typed = typed.replace("CAST(CAST(:now AS timestamptz) AS timestamptz)", "CAST(:now AS timestamptz)")
        values = {"many": MANY} | ({"now": house.clock()} if ":now" in statement else {})
        house.sql(typed, **values)
    house.sql("ANALYZE")
