"""Refresh tokens as values: token n of a connection is a keyed function of its id and n (OAuth 2.1 §4.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from app.tokens.secrets import REFRESH, Purpose, b64, unb64

MAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Which connection it belongs to, and which in the row of its successors it is."""

    connection_id: str
    counter: int


def written(token: RefreshToken, purpose: Purpose) -> str:
    """The same text every time, so a lost answer can be given again although nothing secret is stored."""
    body = f"{token.connection_id}:{token.counter}".encode()
    return REFRESH + b64(purpose.mac(body) + body)


def read(text: str, purpose: Purpose) -> RefreshToken | None:
    """None for whatever this server did not write: then nothing is looked up and nothing can be killed by guessing."""
    if not text.startswith(REFRESH) or len(text) > 200:
        return None
    try:
        raw = unb64(text.removeprefix(REFRESH))
    except ValueError:
        return None
    mac, body = raw[:MAC_BYTES], raw[MAC_BYTES:]
    if not purpose.is_mac(mac, body):
        return None
    connection_id, _, counter = body.decode().rpartition(":")
    return RefreshToken(connection_id, int(counter))
