"""The frozen values that travel between rooms: a client, an authorization, a principal, the tokens that come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Client:
    """An app that may ask for tokens (RFC 7591 §2)."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: frozenset[str]
    token_endpoint_auth_method: str
    secret_fingerprint: bytes | None
    scope: str | None
    kind: str = "dynamic"
    keys: Mapping[str, Any] | None = None  # `jwks` or `jwks_uri`, of a client that signs (RFC 7523)
    fresh_until: datetime | None = None  # of a document's client: when its document is due to be fetched again
    copy_of: str | None = None  # of one that came in by a shipped copy of its document: the date of that copy
    requires_pushed: bool = False  # RFC 9126 §6
    dpop_bound: bool = False  # RFC 9449 §5.2: it wants no bearer tokens
    owner_id: str | None = None  # in whose name client_credentials act; absent too when that account is disabled
    introspects: bool = False  # an API of ours: the operator lets it ask about the tokens it receives
    blocked: bool = False  # an admin lets it do nothing for the time being
    access_lifetime: int | None = None  # seconds; these three in place of what the settings say
    refresh_idle: int | None = None
    refresh_absolute: int | None = None

    @property
    def is_public(self) -> bool:
        """It cannot prove who it is (RFC 6749 §2.1)."""
        return self.token_endpoint_auth_method == "none"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is signed in to this browser. `session_id` is a name, not the secret in the cookie."""

    user_id: str
    email: str
    name: str
    is_admin: bool
    session_id: str
    authenticated_at: datetime


@dataclass(frozen=True, slots=True)
class Consent:
    """What a user allowed a client before, for one redirect host and one resource."""

    scope: frozenset[str]
    given_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """Who a subject is, to be told as far as scopes go (OIDC Core §5.1)."""

    user_id: str
    email: str
    name: str
    email_verified: bool = False


@dataclass(frozen=True, slots=True)
class SignIn:
    """What an id_token tells of: who signed in and when, if that is known, and the client's `nonce` (OIDC Core §2)."""

    person: Person
    authenticated_at: datetime | None
    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What a token was exchanged for (RFC 8693): whatever voids that one voids this one too.

    `handles` are the names of that one which this one has not itself; `issued_at`, in seconds since 1970, is its.
    """

    handles: tuple[str, ...]
    issued_at: int


@dataclass(frozen=True, slots=True)
class Authorization:
    """What every proof ends in, and all that `issue()` needs to know (design §4).

    `connection_id` and `refresh_counter` are absent where no refresh token belongs to the proof; `key_id` names an API key;
    `sign_in` is absent where nobody signed in: then there is no id_token. No token outlives `expires_at`.
    `jkt` is the thumbprint of the key that the token is bound to (RFC 9449 §6.1).
    """

    subject: str
    client_id: str
    scope: tuple[str, ...]
    resource: str
    via: str
    connection_id: str | None = None
    refresh_counter: int | None = None
    key_id: str | None = None
    sign_in: SignIn | None = None
    expires_at: datetime | None = None
    exchanged: Exchanged | None = None
    jkt: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a verified token stands for, at `resource`. `handles` are the names under which it can be revoked; times in
    seconds since 1970.

    `revocable_since` is when the token was issued, or the one that it was exchanged for: a revocation since then is meant for
    both.
    """

    subject: str
    client_id: str
    scope: frozenset[str]
    via: str
    issued_at: int
    expires_at: int
    handles: tuple[str, ...]
    token_id: str
    connection_id: str | None
    revocable_since: int
    jkt: str | None = None
    resource: str = ""
