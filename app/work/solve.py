"""Solves a challenge as fast as one process of Python can: the part that stays is hashed once, a try copies and goes on."""

from __future__ import annotations

import hashlib


def target(bits: int) -> int:
    """The hash must not be greater."""
    return (1 << (256 - bits)) - 1


def solve(
    public_key: str, challenge_hex: str, target_hex: str, *, start: int = 0, tries: int = 2**53
) -> tuple[int, str] | None:
    """The nonce and its hash; None when `tries` were not enough. 2^bits tries are to be expected, some three million a second."""
    prefix = hashlib.sha256(f"{public_key}:{challenge_hex}:".encode())
    goal = bytes.fromhex(target_hex)
    copy = prefix.copy
    for nonce in range(start, min(start + tries, 2**53)):
        attempt = copy()
        attempt.update(b"%d" % nonce)
        digest = attempt.digest()
        if digest <= goal:
            return nonce, digest.hex()
    return None
