"""E-mail addresses in one spelling, so that the same person is found by what is typed and by what others assert (RFC 5321 §4.1.2)."""

from __future__ import annotations

import re
import unicodedata

EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f<>\"(),:;\\\[\]]{1,64}@[^@\s\x00-\x1f\x7f<>\"(),:;\\\[\]]{1,189}\Z")


def normal_email(text: str) -> str | None:
    """In lower case and NFC, or None when it is no address."""
    email = unicodedata.normalize("NFC", text).strip().lower()
    return email if EMAIL.match(email) and email.isprintable() else None
