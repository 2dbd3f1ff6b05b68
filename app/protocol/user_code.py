"""User codes: eight consonants, so that they spell no word and need no case, read and typed by people (RFC 8628 §6.1)."""

from __future__ import annotations

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # 20 letters: 8 of them are 34 bits, guarded by limits (§5.1)
LENGTH = 8
MAX_TYPED = 100  # characters that are looked at


def shown(code: str) -> str:
    """As people read it: WDJB-MJHT."""
    return f"{code[:4]}-{code[4:]}"


def normal(typed: str) -> str | None:
    """The code in what somebody typed, whatever case, dashes and spaces they used. None when it is no code."""
    letters = "".join(c for c in typed[:MAX_TYPED].upper() if c in ALPHABET)
    return letters if len(letters) == LENGTH else None
