"""E-mail addresses in one spelling, so that the same person is found by what is typed and by what others assert (RFC 5321 §4.1.2)."""

from __future__ import annotations

import re
import unicodedata

EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f<>\"(),:;\\\[\]]{1,64}@[^@\s\x00-\x1f\x7f<>\"(),:;\\\[\]]{1,189}\Z")


def normal_email(text: str) -> str | None:
    """In lower case and NFC, the domain as DNS has it (RFC 3490 §4), which is where letters go: else one mailbox has many
    names. None when it is no address."""
    email = unicodedata.normalize("NFC", text).strip().lower()
    if not EMAIL.match(email) or not email.isprintable():
        return None
    local, _, domain = email.rpartition("@")
    try:
        email = f"{local}@{domain.encode('idna').decode().lower()}"
    except UnicodeError:  # an empty label, one that is too long, or what IDNA has no form for
        return None
    return email if EMAIL.match(email) and email.isprintable() and not email.endswith(".") else None  # as it is now
