"""The server that takes mail, as one URL: smtp://user:password@host:587?tls=starttls or smtps://… (RFC 3207, RFC 8314)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Tls = Literal["starttls", "implicit", "none"]
ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,189}"
SENDER = re.compile(rf"(?:{ADDRESS}|[^<>@\x00-\x1f\x7f\"\\]{{1,60}}<{ADDRESS}>)\Z")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed over. `user` and `password` are absent where the server asks nobody who they are."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def smtp_server(url: str) -> SmtpServer:
    """Raises ValueError with a sentence that has nothing of the URL in it: it may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as fault:
        raise ValueError("is no URL; write smtp://user:password@host:587") from fault
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("must look like smtp://user:password@host:587 or smtps://user:password@host")
    tls = query.pop("tls", None)
    if query or tls not in (None, "starttls", "none") or (tls and parts.scheme == "smtps"):
        raise ValueError("knows ?tls=starttls and ?tls=none, with smtp://, and nothing else")
    secured: Tls = "implicit" if parts.scheme == "smtps" else "none" if tls == "none" else "starttls"
    user, password = unquote(parts.username or "") or None, unquote(parts.password or "") or None
    if bool(user) is not bool(password):
        raise ValueError("needs a user and a password, or neither; write special characters as %XX")
    if user and secured == "none" and parts.hostname not in LOOPBACK:
        raise ValueError("would send the password in the clear: leave ?tls=none away")
    return SmtpServer(parts.hostname, port or (465 if secured == "implicit" else 587), secured, user, password)


def checked_sender(sender: str) -> str:
    """An address, or a name and an address in <> (RFC 5322 §3.4). Raises ValueError."""
    if not SENDER.match(sender):
        raise ValueError("must be an address such as no-reply@example.com or Gatehouse <no-reply@example.com>")
    return sender
