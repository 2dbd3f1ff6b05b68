"""Every table on one page. `fingerprint` columns hold SHA-256 of a secret; `sealed` ones AES-GCM; times are UTC."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def moment(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def owner(**options: object) -> Column[str]:
    return Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, **options)  # type: ignore[arg-type]


# People -------------------------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),  # lower case, NFC
    Column("name", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    moment("created_at"),
    moment("disabled_at", nullable=True),
    Column("language", Text),  # as `lang` says it; absent: what the browser asks for
    moment("email_verified_at", nullable=True),  # when a link that went there by mail was used
    Index("ix_users_created_at_id", "created_at", "id"),
    Index("ix_users_email_prefix", "email", postgresql_ops={"email": "text_pattern_ops"}),
)
PREFIX = {"lowered": "text_pattern_ops"}
Index("ix_users_name_prefix", func.lower(users.c.name).label("lowered"), postgresql_ops=PREFIX)
Index("ix_users_admins", users.c.created_at, users.c.id, postgresql_where=users.c.is_admin)
Index("ix_users_disabled", users.c.created_at, users.c.id, postgresql_where=users.c.disabled_at.is_not(None))

passwords = Table(
    "passwords",
    metadata,
    owner(primary_key=True),
    Column("hash", Text, nullable=False),  # Argon2id, parameters inside
    moment("changed_at"),
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    owner(),
    moment("created_at"),
    moment("authenticated_at"),
    moment("last_seen_at"),
    moment("expires_at"),
    Column("user_agent", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("method", Text),  # what it was signed in with, such as password+totp; absent in old ones
    Index("ix_browser_sessions_user_id_created_at_id", "user_id", "created_at", "id"),
    postgresql_with={"fillfactor": "80"},  # room for `last_seen_at`
)

# A browser that signed somebody in before (OWASP device cookies); until `trusted_until` it needs no second step.
remembered_devices = Table(
    "remembered_devices",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    owner(primary_key=True, index=True),
    Column("id", Text, nullable=False, unique=True),
    moment("created_at"),
    moment("last_used_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
    moment("trusted_until", nullable=True),
    Column("user_agent", Text, nullable=False),
)

# RFC 6238: the key sealed for its user, and the last step that was used, since each is good once.
totp = Table(
    "totp",
    metadata,
    owner(primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    moment("created_at"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    owner(primary_key=True),
    Column("fingerprint", LargeBinary, primary_key=True),
    moment("created_at"),
    moment("used_at", nullable=True),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    owner(index=True),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),  # COSE (RFC 9052)
    Column("sign_count", BigInteger, nullable=False),
    Column("transports", ARRAY(Text), nullable=False),
    Column("backed_up", Boolean, nullable=False),  # a copy of it is kept by its provider
    moment("created_at"),
    moment("last_used_at", nullable=True),
)

one_time_links = Table(
    "one_time_links",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column(
        "purpose",
        Text,
        CheckConstraint("purpose in ('setup', 'password', 'login', 'sign_up', 'email')", name="purpose"),
        nullable=False,
    ),
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), index=True),
    moment("created_at"),
    moment("expires_at"),
    moment("used_at", nullable=True),
    Column("email", Text),  # where it went by mail; absent: it was handed over by a person
    Column("req", Text),  # what was interrupted (app/web/flow.py), to go on with
    Column("browser_fingerprint", LargeBinary),  # of the cookie of the browser that goes on with it
    Column("made_by", Text, ForeignKey("users.id", ondelete="CASCADE"), index=True),  # the admin who handed it out
)
Index("ix_one_time_links_expires_at", one_time_links.c.expires_at)

# Those that are open; gone when they are used or taken back.
invitations = Table(
    "invitations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False, unique=True),
    Column("email", Text, nullable=False, unique=True),
    Column("is_admin", Boolean, nullable=False),
    Column("mailed", Boolean, nullable=False),  # then using it proves the address
    Column("invited_by", Text, ForeignKey("users.id", ondelete="SET NULL"), index=True),  # absent: the operator
    moment("created_at"),
    moment("expires_at"),
    Index("ix_invitations_created_at_id", "created_at", "id"),
)

# What another issuer calls a user: found by `issuer` and `subject`, and each user once for each issuer.
identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    owner(),
    moment("created_at"),
    Column("provider", Text),  # under which name that issuer is configured, as far as its user signs in with it
    Column("shown", Text),  # what the user knows it by: an address, a name
    moment("signs_in_since", nullable=True),  # absent: its issuer's assertions count, and no more
    moment("last_used_at", nullable=True),
    UniqueConstraint("user_id", "issuer"),
)

# Services -------------------------------------------------------------------------------------------------------------

# Those that admins add; the others are in the settings. The secret is sealed for its provider.
providers = Table(
    "providers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("definition", JSONB, nullable=False),
    Column("sealed", LargeBinary),
    moment("created_at"),
    moment("changed_at"),
)

# Somebody who was sent to a service, by what they come back with (`state`), and in which browser; and for a while what they
# came back with, where they still have to prove who they are here.
upstream_flows = Table(
    "upstream_flows",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("browser", LargeBinary, nullable=False, index=True),  # of its cookie
    Column("purpose", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
    moment("consumed_at", nullable=True),
)

# An account elsewhere that tools may act at. `sealed` are its tokens, for their user, provider and row; `generation` grows
# whenever they change, and whoever refreshes them holds the lease.
upstream_accounts = Table(
    "upstream_accounts",
    metadata,
    Column("id", Text, primary_key=True),
    owner(),
    Column("provider", Text, nullable=False),
    Column("client_id", Text, nullable=False),  # ours, with the provider: another one cannot use these tokens
    Column("subject", Text),
    Column("shown", Text),
    Column("scope", ARRAY(Text), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("refreshable", Boolean, nullable=False),
    moment("created_at"),
    moment("refreshed_at"),
    moment("expires_at", nullable=True),
    moment("broken_at", nullable=True),
    Column("broken_because", Text),
    Column("lease", Text),
    moment("lease_until", nullable=True),
    UniqueConstraint("user_id", "provider"),
    Index("ix_upstream_accounts_provider_id", "provider", "id"),
)

# Clients and what they were allowed -----------------------------------------------------------------------------------

clients = Table(
    "clients",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("kind", Text, CheckConstraint("kind in ('dynamic', 'static', 'document')", name="kind"), nullable=False),
    Column("client_name", Text, nullable=False),
    Column("redirect_uris", ARRAY(Text), nullable=False),
    Column("grant_types", ARRAY(Text), nullable=False),
    Column("token_endpoint_auth_method", Text, nullable=False),
    Column("secret_fingerprint", LargeBinary),
    Column("scope", Text),
    Column("metadata", JSONB, nullable=False),  # as registered, to be echoed
    moment("changed_at", nullable=True),  # of a document's client: what a consent was given to, as it is since then
    moment("fresh_until", nullable=True),  # of a document's client: when the document is due to be fetched again
    Column(
        "owner_id", Text, ForeignKey("users.id", ondelete="CASCADE"), index=True
    ),  # in whose name client_credentials act
    Column("registration_key", LargeBinary),  # public clients only: identical registrations are one client
    Column(
        "management_fingerprint", LargeBinary
    ),  # of the registration access token (RFC 7592), which shared ones lack
    Column("introspects", Boolean, nullable=False, server_default=text("false")),  # the operator's word (RFC 7662)
    moment("created_at"),
    moment("last_used_at", nullable=True),
    moment("revoked_at", nullable=True),
    moment("blocked_at", nullable=True),  # by an admin, who may let it in again
    Column("access_lifetime", Integer),  # seconds, as the next two; absent: as the settings say
    Column("refresh_idle", Integer),
    Column("refresh_absolute", Integer),
    Index("ix_clients_created_at_client_id", "created_at", "client_id"),
    Index("ix_clients_kind_created_at_client_id", "kind", "created_at", "client_id"),
    Index("ix_clients_blocked", "created_at", "client_id", postgresql_where=text("blocked_at IS NOT NULL")),
    Index("ix_clients_client_id_prefix", "client_id", postgresql_ops={"client_id": "text_pattern_ops"}),
)
Index("ix_clients_name_prefix", func.lower(clients.c.client_name).label("lowered"), postgresql_ops=PREFIX)
Index(
    "uq_clients_registration_key",
    clients.c.registration_key,
    unique=True,
    postgresql_where=clients.c.revoked_at.is_(None),
)
Index(
    "ix_clients_never_used",
    clients.c.created_at,
    postgresql_where=text("last_used_at IS NULL AND kind <> 'static'"),
)

consents = Table(
    "consents",
    metadata,
    owner(primary_key=True),
    Column("client_id", Text, ForeignKey("clients.client_id", ondelete="CASCADE"), primary_key=True),
    Column("redirect_host", Text, primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("scope", ARRAY(Text), nullable=False),
    moment("given_at"),
    Index("ix_consents_user_id_given_at", "user_id", "given_at", "client_id", "redirect_host", "resource"),
    Index("ix_consents_client_id", "client_id"),  # else each client that is deleted has all consents read
)

codes = Table(
    "codes",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("redirect_host", Text, nullable=False),
    Column("code_challenge", Text, nullable=False),
    Column("scope", ARRAY(Text), nullable=False),
    Column("resource", Text, nullable=False),
    moment("expires_at"),
    moment("consumed_at", nullable=True),
    Column("connection_id", Text),  # what it gave, to be taken back on replay
    Column("nonce", Text),  # for the id_token, as is the next
    moment("authenticated_at", nullable=True),  # when the user signed in
    Column("pushed_id", Text),  # the pushed request that it answers (RFC 9126)
    Column("dpop_jkt", Text),  # the key that must redeem it (RFC 9449 §10)
)
Index("ix_codes_expires_at", codes.c.expires_at)
Index("uq_codes_pushed_id", codes.c.pushed_id, unique=True, postgresql_where=codes.c.pushed_id.is_not(None))

# `allowed` is null until the user decides; a poll within `poll_interval` seconds of `polled_at` is too early (RFC 8628).
device_codes = Table(
    "device_codes",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("user_code", Text, nullable=False, unique=True),
    Column("client_id", Text, nullable=False),
    Column("scope", ARRAY(Text), nullable=False),
    Column("resource", Text, nullable=False),
    moment("expires_at"),
    Column("poll_interval", Integer, nullable=False),
    moment("polled_at", nullable=True),
    Column("allowed", Boolean),
    Column("user_id", Text),  # who decided
    moment("authenticated_at", nullable=True),  # when they had signed in
    moment("consumed_at", nullable=True),
)
Index("ix_device_codes_expires_at", device_codes.c.expires_at)

# One redeemed authorization: the standing permission from which its tokens hang. It is also the refresh family: refresh
# token n is a keyed function of the id and n, so that the counter is all there is to store (design §5).
connections = Table(
    "connections",
    metadata,
    Column("id", Text, primary_key=True),
    owner(),
    Column("client_id", Text, ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("redirect_host", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("scope", ARRAY(Text), nullable=False),
    Column("refresh_counter", Integer, nullable=False),
    moment("created_at"),
    moment("refreshed_at"),
    moment("last_used_at"),
    moment("expires_at"),
    moment("revoked_at", nullable=True),
    Column("revoked_because", Text),
    moment("authenticated_at", nullable=True),  # when the user signed in, for id_tokens
    Column(
        "dpop_jkt", Text
    ),  # the key that must come with every refresh, of a public client's connection (RFC 9449 §5)
    Index("ix_connections_user_id_created_at_id", "user_id", "created_at", "id"),
    Index("ix_connections_client_id_created_at_id", "client_id", "created_at", "id"),
    Index("ix_connections_created_at_id", "created_at", "id"),
    postgresql_with={"fillfactor": "80"},  # room for the refresh to stay on its page
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    owner(),
    Column("name", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False, unique=True),
    Column("scope", ARRAY(Text), nullable=False),
    moment("created_at"),
    moment("expires_at", nullable=True),
    moment("last_used_at", nullable=True),
    moment("revoked_at", nullable=True),
    moment("rotated_at", nullable=True),  # another key has taken its place; it may live on for a while
    Index("ix_api_keys_user_id_created_at_id", "user_id", "created_at", "id"),
    Index("ix_api_keys_created_at_id", "created_at", "id", postgresql_where=text("revoked_at IS NULL")),
    postgresql_with={"fillfactor": "80"},  # room for each use to be written where the key stands, without its indexes
)

# Signing and revocation ------------------------------------------------------------------------------------------------

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),  # RFC 7638 thumbprint
    Column("algorithm", Text, nullable=False),  # ES256 signs access tokens, RS256 id_tokens
    Column("sealed", LargeBinary, nullable=False),
    Column("public_jwk", JSONB, nullable=False),
    moment("created_at"),
    moment("signs_from"),
    moment("verifies_until", nullable=True),
)

# Every handle (token, connection, key, client, user) whose tokens issued until `revoked_at` are void. `recorded_at` is
# the database's clock, the only one by which replicas can ask "what is new".
revocations = Table(
    "revocations",
    metadata,
    Column("handle", Text, primary_key=True),
    moment("revoked_at"),
    moment("expires_at"),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp(), index=True),
)

# Records and counters ---------------------------------------------------------------------------------------------------

# It only grows: a trigger of migration 0012 refuses the rest.
audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    moment("at"),
    Column("event", Text, nullable=False),
    Column("user_id", Text),
    Column("client_id", Text),
    Column("address", Text),
    Column("actor", Text),  # who did it: user, client, operator, system, nobody (app/asking.py)
    Column("actor_id", Text),
    Column("request_id", Text),
    Column("detail", JSONB, nullable=False),
    Index("ix_audit_events_user_id_id", "user_id", "id"),
    Index("ix_audit_events_client_id_id", "client_id", "id"),
)

# How often each declared tool was called (app/later/tally.py), by UTC day; `client_id` is an app's or an API key's. Only `calls`
# changes, so that it can change where it stands.
tool_calls = Table(
    "tool_calls",
    metadata,
    owner(primary_key=True),
    Column("day", Date, primary_key=True, index=True),
    Column("client_id", Text, primary_key=True),
    Column("tool", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    postgresql_with={"fillfactor": "80"},
)
Index("ix_audit_events_at", audit_events.c.at, postgresql_using="brin")
Index(  # of tokens there are so many that the newest are found without it, and a code exchange need not pay for it
    "ix_audit_events_event_id",
    audit_events.c.event,
    audit_events.c.id,
    postgresql_where=audit_events.c.event != "token.issued",
)
Index("ix_audit_events_by_user", audit_events.c.actor_id, audit_events.c.id, postgresql_where=text("actor = 'user'"))

# What may be used once: the `jti` of an assertion or proof, as long as it would be accepted (RFC 7523 §3, RFC 9449 §11.1).
used_once = Table(
    "used_once",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)

# Each time the database came back from a backup. Nothing that is good once and was made before `at` is good (app/backups).
restores = Table(
    "restores", metadata, Column("at", DateTime(timezone=True), primary_key=True), moment("backup_at", nullable=True)
)

rate_counters = Table(
    "rate_counters",
    metadata,
    Column("key", Text, primary_key=True),
    Column("hits", Integer, nullable=False),
    moment("resets_at"),
    prefixes=["UNLOGGED"],  # lost in a crash, which forgives a few attempts and costs no disk write
)

# Each request of a client that connects, for a few days (app/traces). Unlogged: it is for looking into, a crash may take
# it, and so it costs no write-ahead log; without foreign keys, since it outlives what it tells of.
trace_steps = Table(
    "trace_steps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, index=True),
    Column("request_id", Text, nullable=False, index=True),
    Column("what", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text),
    Column("description", Text),
    Column("client_id", Text),
    Column("client_name", Text),
    Column("address", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("user_id", Text),
    Column("connection_id", Text),
    Column("links", ARRAY(Text), nullable=False),
    Column("facts", JSONB, nullable=False),
    prefixes=["UNLOGGED"],
)

# Agents without an account ----------------------------------------------------------------------------------------------

# Whose `X-LW-Public` key agents come with. Sats are what a session may spend a day without paying, and what one bought
# by Lightning costs, and is worth.
agent_projects = Table(
    "agent_projects",
    metadata,
    Column("id", Text, primary_key=True),  # a UUID
    Column("public_key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("scope", ARRAY(Text), nullable=False),
    Column("allowance_sats", BigInteger, nullable=False),
    Column("session_sats", BigInteger, nullable=False),
    Column("max_calls_per_minute", Integer, nullable=False),
    Column("bits_floor", Integer, nullable=False),  # of the proof of work, as the next
    Column("bits_ceiling", Integer, nullable=False),
    moment("created_at"),
    moment("revoked_at", nullable=True),
    moment("paused_at", nullable=True),  # nothing is given out until somebody lets it go on
)

# What a solved challenge, or a payment, became. `id` is the seed's quoteId, and that of its budget.
agent_sessions = Table(
    "agent_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text, ForeignKey("agent_projects.id", ondelete="CASCADE")),  # absent: paid at a 402
    Column("kind", Text, CheckConstraint("kind in ('pow', 'lightning', 'paid')", name="kind"), nullable=False),
    Column("scope", ARRAY(Text), nullable=False),
    Column("resource", Text, nullable=False),  # the audience of its tokens
    Column(
        "refresh_counter", Integer, nullable=False
    ),  # of the refresh token that is good: a keyed function of id and n
    moment("refreshed_at"),
    Column("jkt", Text),  # the key to which its tokens are bound (RFC 9449 §6)
    Column("payment_hash", LargeBinary),
    moment("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
    moment("ended_at", nullable=True),
    Index("ix_agent_sessions_project_id_created_at_id", "project_id", "created_at", "id"),
)

# Every invoice that was offered. A hash is claimed once, by whoever comes first, at whichever door.
payments = Table(
    "payments",
    metadata,
    Column("id", Text, primary_key=True),  # a UUID: the seed's quoteId
    Column("payment_hash", LargeBinary, nullable=False, unique=True),
    Column("bolt11", Text, nullable=False),
    Column("sats", BigInteger, CheckConstraint("sats > 0", name="sats"), nullable=False),
    Column("purpose", Text, nullable=False),  # session, demo, and what the doors with a 402 call theirs
    Column("subject", Text, nullable=False),  # for what: a project, a session, a tool
    Column("commitment", Text),  # who alone may claim it: a code_challenge (RFC 7636) or a key's thumbprint (RFC 7638)
    Column("detail", JSONB, nullable=False),  # empty: nobody has anything to say there
    moment("created_at"),
    moment("expires_at"),
    moment("asked_at", nullable=True),  # when the node was asked last
    moment("closed_at", nullable=True),  # when it said, after the invoice had expired, that nobody had paid
    moment("settled_at", nullable=True),
    moment("claimed_at", nullable=True),
    Column("claimed_by", Text),
    Index("ix_payments_open", "asked_at", postgresql_where=text("settled_at IS NULL AND closed_at IS NULL")),
    Index("ix_payments_created_at_id", "created_at", "id"),
    Index("ix_payments_settled_at", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
)

# Payments that a facilitator settles on a chain, from before it is asked. What was settled and given nothing for is good once
# more; what has no transaction may or may not be on the chain, and `claimed_by` keeps everybody from it.
settlements = Table(
    "settlements",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),  # of what the payer sent
    Column("network", Text, nullable=False),
    Column("transaction", Text),
    Column("payer", Text),
    Column("subject", Text, nullable=False),  # for what, as in `payments`
    Column("claimed_by", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, index=True),
    Column("sats", BigInteger),  # the price; absent, as `amount`, of those before 0019
    Column("asset", Text),
    Column("amount", Text),  # in the asset's smallest unit
    moment("asked_until", nullable=True),  # until then one alone asks the facilitator
    Column("settled_at", DateTime(timezone=True), server_default=text("now()")),  # so code of before 0019 leaves it
    moment("unknown_at", nullable=True),  # when a second asking was refused
    moment("voided_at", nullable=True),  # when the operator found that it was not paid
    Column("said", Text),  # the facilitator's last words
    UniqueConstraint("network", "transaction"),
    Index("ix_settlements_open", "created_at", postgresql_where=text("transaction IS NULL")),
    Index("ix_settlements_settled_at", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
)

# What the pretend node knows of its invoices (app/lightning/pretend.py).
pretend_invoices = Table(
    "pretend_invoices",
    metadata,
    Column("payment_hash", LargeBinary, primary_key=True),
    Column("preimage", LargeBinary, nullable=False),
    Column("sats", BigInteger, nullable=False),
    moment("expires_at"),
    moment("paid_at", nullable=True),
)

# What somebody may spend: an agent's session, an API key or a connection (its id is theirs). The allowance comes back with
# each UTC day; the funded balance was paid for, and never does. `day_*` and `minute_*` count in the window they name.
budgets = Table(
    "budgets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, CheckConstraint("kind in ('agent', 'api_key', 'connection')", name="kind"), nullable=False),
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE"), index=True),  # absent: an agent's
    Column("allowance_sats", BigInteger, nullable=False),
    Column("funded_sats", BigInteger, CheckConstraint("funded_sats >= 0", name="funded_sats"), nullable=False),
    Column("max_calls_per_minute", Integer),
    Column("day", Date, nullable=False),
    Column("day_free_sats", BigInteger, CheckConstraint("day_free_sats >= 0", name="day_free_sats"), nullable=False),
    Column("day_sats", BigInteger, nullable=False),  # with what was taken from the funded balance
    Column("day_calls", BigInteger, nullable=False),
    Column("last_free_sats", BigInteger, nullable=False),  # how much of the last charge the allowance paid
    moment("minute"),
    Column("minute_calls", Integer, nullable=False),
    moment("created_at"),
    Column("expires_at", DateTime(timezone=True), index=True),
    moment("ended_at", nullable=True),
    postgresql_with={"fillfactor": "50"},  # every charge rewrites its row, and none of what is indexed
)

# The ledger. A key is good once for its budget, unless what it paid for failed and was released.
charges = Table(
    "charges",
    metadata,
    Column("budget_id", Text, primary_key=True),  # no foreign key: that would cost a fifth of each charge
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("sats", BigInteger, CheckConstraint("sats >= 0", name="sats"), nullable=False),
    Column("free_sats", BigInteger, nullable=False),  # as much of it came from the day's allowance
    Column("returned_sats", BigInteger, nullable=False, server_default="0"),  # taken first, and given back
    Column(
        "state", Text, CheckConstraint("state in ('charged', 'reserved', 'released')", name="state"), nullable=False
    ),
    Column("tool", Text),
    Column("calls_used", BigInteger, nullable=False),  # this, and the next two, as they were told to the caller
    Column("sats_used", BigInteger, nullable=False),
    Column("remaining_sats", BigInteger, nullable=False),
    moment("at"),
    moment("reserved_until", nullable=True),
    Index("uq_charges_budget_id_key", "budget_id", "key", unique=True, postgresql_where=text("state <> 'released'")),
    Index("ix_charges_reserved", "reserved_until", postgresql_where=text("state = 'reserved'")),
    Index("ix_charges_at", "at", postgresql_using="brin"),
)

# Charges that were denied, by reason: counted in memory and added here (app/later/tally.py).
charge_denials = Table(
    "charge_denials",
    metadata,
    Column("budget_id", Text, primary_key=True),
    Column("day", Date, primary_key=True, index=True),
    Column("tool", Text, primary_key=True),  # empty where none was named
    Column("reason", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
)

# The example tools' own ---------------------------------------------------------------------------------------------------

notes = Table(
    "notes",
    metadata,
    Column("id", Text, primary_key=True),
    owner(),
    Column("text", Text, nullable=False),
    moment("created_at"),
    Index("ix_notes_user_id_created_at_id", "user_id", "created_at", "id"),
)
