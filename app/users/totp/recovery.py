"""Recovery codes: ten for a drawer, each of which stands in for one code of a lost phone, once (NIST SP 800-63B-4 §3.1.2)."""

from __future__ import annotations

import re
import secrets

from app.tokens.secrets import fingerprint
from app.users.totp import codes

HOW_MANY = 10
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without what is mistaken for something else
LENGTH = 16  # 79 bits: no guessing, not even by whoever has the table of fingerprints
SHAPE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}\\Z")


def new_codes() -> list[str]:
    """As they are shown: XXXX-XXXX-XXXX-XXXX."""
    texts = ("".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(HOW_MANY))
    return ["-".join(text[place : place + 4] for place in range(0, LENGTH, 4)) for text in texts]


def normal(typed: str) -> str | None:
    """Case, blanks and dashes do not matter; None when it cannot be one."""
    code = codes.normal(typed).upper()
    return code if SHAPE.match(code) else None


def key(user_id: str, code: str) -> bytes:
    """What is stored of a normal code: the same code of another user is another key."""
    return fingerprint(f"{user_id}:{code}")


def keys(user_id: str, shown: list[str]) -> list[bytes]:
    return [key(user_id, code.replace("-", "")) for code in shown]
