"""Secrets: made with a prefix per kind, compared by fingerprint, sealed when they must be read back (OAuth 2.1 §7.1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.protocol import user_code

PURPOSES = (
    "signing keys",
    "refresh",
    "pending",
    "forms",
    "mcp request state",
    "traces",
    "dpop nonce",
    "totp",
    "sign-in",
    "work",
    "payments",
    "mcp sessions",
    "upstream flow",
    "upstream tokens",
    "provider secrets",
)
PASSING = frozenset({"pending", "forms", "mcp request state", "dpop nonce", "sign-in", "mcp sessions"})
PASSING |= {"work", "payments", "upstream flow"}
API_KEY, CODE, CLIENT_SECRET, REFRESH, LINK = "gh_key_", "gh_code_", "gh_cs_", "gh_rt_", "gh_link_"
REGISTRATION, DEVICE = "gh_rat_", "gh_dc_"  # RFC 7592 registration_access_token, RFC 8628 device_code


def new_secret(prefix: str) -> str:
    """256 random bits behind the prefix of its kind, in `[A-Za-z0-9_-]`."""
    return prefix + secrets.token_urlsafe(32)


def new_user_code() -> str:
    """What a person types (RFC 8628 §6.1): short, so it lives for minutes and guesses are counted."""
    return "".join(secrets.choice(user_code.ALPHABET) for _ in range(user_code.LENGTH))


def new_id(prefix: str) -> str:
    """A name, not a secret: 96 random bits."""
    return f"{prefix}_{secrets.token_hex(12)}"


def fingerprint(secret: str) -> bytes:
    """What is stored of a secret that is only compared. Plain SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Raises ValueError for anything that `b64` would not have written."""
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64(raw) != text:
        raise ValueError("not base64url")
    return raw


class Unsealable(Exception):
    """The sealed bytes were made with another master key, or changed."""


@dataclass(frozen=True, slots=True, repr=False)
class MasterKeys:
    """The keys of `GATEHOUSE_SECRET_KEY`, newest first: the first seals and signs, all of them open and verify."""

    keys: tuple[bytes, ...]

    @staticmethod
    def of(texts: tuple[str, ...]) -> MasterKeys:
        return MasterKeys(tuple(hashlib.sha256(text.encode()).digest() for text in texts))

    def _derived(self, key: bytes, purpose: str) -> bytes:
        return HKDF(SHA256(), 32, None, b"gatehouse " + purpose.encode()).derive(key)

    def for_purpose(self, purpose: str) -> Purpose:
        """Keys of their own for each use, so that bytes made for one can never pass in another."""
        return Purpose(purpose.encode(), tuple(self._derived(key, purpose) for key in self.keys))


def _keyed(message: bytes, key: bytes) -> bytes:
    """BLAKE2b, which takes a key as it is (RFC 7693 §2.9), and a third of the time of HMAC-SHA-256."""
    return hashlib.blake2b(message, key=key, digest_size=32).digest()


@dataclass(frozen=True, slots=True, repr=False)
class Purpose:
    """Sealing and authenticating for one named use."""

    name: bytes
    keys: tuple[bytes, ...]

    def seal(self, plain: bytes, context: bytes = b"") -> bytes:
        """AES-256-GCM; `context` must be the same when it is opened."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self.keys[0]).encrypt(nonce, plain, self.name + b"\0" + context)

    def open(self, sealed: bytes, context: bytes = b"") -> bytes:
        """Raises Unsealable."""
        for key in self.keys:
            try:
                return AESGCM(key).decrypt(sealed[:12], sealed[12:], self.name + b"\0" + context)
            except (InvalidTag, ValueError):
                continue
        raise Unsealable(self.name.decode())

    def resealed(self, sealed: bytes, context: bytes = b"") -> bytes | None:
        """The same under the newest key; None when it is already. Raises Unsealable."""
        try:
            Purpose(self.name, self.keys[:1]).open(sealed, context)
        except Unsealable:
            return self.seal(self.open(sealed, context), context)
        return None

    def mac(self, message: bytes) -> bytes:
        """32 bytes."""
        return _keyed(message, self.keys[0])

    def is_mac(self, mac: bytes, message: bytes) -> bool:
        if hmac.compare_digest(mac, _keyed(message, self.keys[0])):
            return True
        return any(hmac.compare_digest(mac, _keyed(message, key)) for key in self.keys[1:])

    def is_tag(self, tag: bytes, message: bytes) -> bool:
        """Whether a MAC begins with this, whose length the caller has fixed."""
        return any(hmac.compare_digest(tag, _keyed(message, key)[: len(tag)]) for key in self.keys)


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """One purpose for each thing that Gatehouse seals or authenticates."""

    signing_keys: Purpose
    refresh: Purpose
    pending: Purpose
    forms: Purpose
    request_state: Purpose
    traces: Purpose
    dpop_nonce: Purpose
    totp: Purpose  # the context is the user's id
    sign_in: Purpose  # what a sign-in holds between two steps; the context is which step, and the browser's cookie
    work: Purpose  # challenges of work, and the ids of quotes
    payments: Purpose  # what is offered for sats: macaroons and challenges
    mcp_sessions: Purpose  # of servers behind the guard; the context is whose and which server's
    upstream_flow: Purpose  # the context is the `state`
    upstream_tokens: Purpose  # the context is user, provider and row
    provider_secrets: Purpose  # the context is the provider's name

    @staticmethod
    def of(texts: tuple[str, ...], epoch: str = "") -> Secrets:
        """`epoch` is of the last restore from a backup, if there was one: what passes by was sealed for another one before."""
        master = MasterKeys.of(texts)
        return Secrets(*(master.for_purpose(name + (epoch if name in PASSING else "")) for name in PURPOSES))
