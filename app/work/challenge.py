"""Proof of work as the seed has it: a signed challenge, a target of 2^(256-bits)-1, SHA-256 over `key:challenge:nonce`.

Nothing is stored until it is solved. The signature binds what the client only echoes (bits, expiry) and what it does not
see: the purpose, the audience, and who alone may redeem it, where they said so.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.protocol.agent_errors import InvalidWork
from app.tokens.secrets import Purpose
from app.work.solve import target

SECONDS = 300  # the seed's
MOST_NONCE = 2**53 - 1  # a JavaScript number
LEAST_BITS, MOST_BITS = 1, 24
HEX = re.compile(r"[0-9a-f]{64}")
TAG_BYTES = 6


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a challenge is for: `public_key` is the project's. `bound`: who alone may redeem it; empty: whoever solves it."""

    purpose: str
    audience: str
    public_key: str
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """`quote_id` is a UUID that names it; `expires_at` in seconds since 1970."""

    quote_id: str
    challenge_hex: str
    bits: int
    expires_at: int
    signature: str

    def document(self, project_id: str, public_key: str) -> dict[str, object]:
        """The seed's `powChallenge`."""
        return {
            "projectId": project_id,
            "projectPublicKey": public_key,
            "challengeHex": self.challenge_hex,
            "targetHex": f"{target(self.bits):064x}",
            "difficultyBits": self.bits,
            "expiresAtUnix": self.expires_at,
            "signature": self.signature,
        }


@dataclass(frozen=True, slots=True)
class Solution:
    """What came back, as it was sent."""

    challenge: Challenge
    nonce: int
    hash_hex: str


def work_hash(public_key: str, challenge_hex: str, nonce: int) -> str:
    return hashlib.sha256(f"{public_key}:{challenge_hex}:{nonce}".encode()).hexdigest()


def new_challenge(wanted: Wanted, bits: int, keys: Purpose, now: datetime) -> Challenge:
    expires_at, challenge_hex = int(now.timestamp()) + SECONDS, os.urandom(16).hex()
    quote_id = _named(expires_at, wanted.public_key, keys)
    return Challenge(
        quote_id,
        challenge_hex,
        bits,
        expires_at,
        keys.mac(_signed(wanted, quote_id, challenge_hex, bits, expires_at)).hex(),
    )


def check(solution: Solution, wanted: Wanted, keys: Purpose, now: datetime) -> None:
    """That it is our challenge for just this, in time, and solved. Whether it was used before is for who stores that. Raises
    InvalidWork."""
    challenge = solution.challenge
    message = _signed(wanted, challenge.quote_id, challenge.challenge_hex, challenge.bits, challenge.expires_at)
    if not HEX.fullmatch(challenge.signature) or not keys.is_mac(bytes.fromhex(challenge.signature), message):
        raise InvalidWork("the challenge is not one of ours, or was altered, or is for another key, project or purpose")
    if challenge.expires_at <= now.timestamp():
        raise InvalidWork("the challenge has expired; start again")
    found = work_hash(wanted.public_key, challenge.challenge_hex, solution.nonce)
    if found != solution.hash_hex:
        raise InvalidWork("hashHex is not the SHA-256 of projectPublicKey:challengeHex:nonce")
    if int(found, 16) > target(challenge.bits):
        raise InvalidWork("the hash is above the target")


def _signed(wanted: Wanted, quote_id: str, challenge_hex: str, bits: int, expires_at: int) -> bytes:
    """As JSON, so that no part of it can pass for another."""
    parts = [1, wanted.purpose, wanted.audience, wanted.public_key, wanted.bound]
    return json.dumps([*parts, quote_id, challenge_hex, bits, expires_at]).encode()


def _named(expires_at: int, public_key: str, keys: Purpose) -> str:
    """A UUID that says when it expires, with a tag by which it is known again although nothing is stored."""
    head = expires_at.to_bytes(4, "big") + os.urandom(6)
    return str(UUID(bytes=head + keys.mac(b"quote" + head + public_key.encode())[:TAG_BYTES]))


def expiry_of(quote_id: str, public_key: str, keys: Purpose) -> int | None:
    """When the challenge of this name expires, in seconds since 1970; None when it is not one of this project's."""
    try:
        raw = UUID(quote_id).bytes
    except ValueError:
        return None
    head, tag = raw[:-TAG_BYTES], raw[-TAG_BYTES:]
    if not keys.is_tag(tag, b"quote" + head + public_key.encode()):
        return None
    return int.from_bytes(head[:4], "big")
