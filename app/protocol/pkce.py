"""PKCE, method S256 only (RFC 7636 §4, OAuth 2.1 §7.5)."""

from __future__ import annotations

import base64
import hashlib
import re

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")


def is_challenge(code_challenge: str) -> bool:
    """§4.2: an S256 challenge is 32 bytes in base64url, so always 43 characters."""
    return CHALLENGE.match(code_challenge) is not None


def challenge_of(code_verifier: str) -> str | None:
    """The S256 challenge that this verifier answers, or None when it is no verifier at all (§4.1)."""
    if VERIFIER.match(code_verifier) is None:
        return None
    return base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
