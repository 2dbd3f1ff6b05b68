"""Fields of a JSON body that must be of one kind, and a solution among them; each fault says which field it is."""

from __future__ import annotations

import re
from typing import Any

from app.protocol.errors import InvalidRequest
from app.work.challenge import MOST_BITS, MOST_NONCE, Challenge, Solution

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LATEST = 2**32 - 1  # a moment, in seconds since 1970


def quote_id(value: object) -> str:
    """Raises InvalidRequest."""
    if not isinstance(value, str) or not UUID.fullmatch(value.lower()):
        raise InvalidRequest("quoteId must be the quoteId of a start")
    return value.lower()


def whole(body: dict[str, Any], name: str, least: int, most: int) -> int:
    """A number without a fraction; 3.0 is 3, as it is in JavaScript. Raises InvalidRequest."""
    value = body.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidRequest(f"{name} must be a whole number from {least} to {most}")
    return value


def words(body: dict[str, Any], name: str, most: int = 200) -> str | None:
    """A text, if there is one. Raises InvalidRequest."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise InvalidRequest(f"{name} must be a text of at most {most} characters")
    return value


def solution(body: dict[str, Any], quote_id: str) -> Solution:
    """`signature` is what the MCP tool calls it, `sig` what the seed's client sends. Raises InvalidRequest."""
    signature, challenge_hex = (
        words(body, "sig") or words(body, "signature"),
        words(body, "challengeHex"),
    )
    hash_hex = words(body, "hashHex")
    if signature is None or challenge_hex is None or hash_hex is None:
        raise InvalidRequest("challengeHex, nonce, hashHex, expiresAtUnix, difficultyBits and sig are needed")
    bits, ends = whole(body, "difficultyBits", 1, MOST_BITS), whole(body, "expiresAtUnix", 0, LATEST)
    challenge = Challenge(quote_id, challenge_hex, bits, ends, signature)
    return Solution(challenge, whole(body, "nonce", 0, MOST_NONCE), hash_hex.lower())
