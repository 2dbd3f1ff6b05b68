"""Macaroons in the binary format of libmacaroons, version 2, that L402 carries: minted, read, narrowed, checked (L402 "macaroon-spec").

`02 | 01 location | 02 identifier | 00 | (02 caveat 00)* | 00 | 06 signature`: each field is its type, its length as a varint,
its bytes. First-party caveats only: one that somebody else would have to discharge is refused.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace

VERSION, END, LOCATION, IDENTIFIER, SIGNATURE = 2, 0, 1, 2, 6
KEY_GENERATOR = (
    b"macaroons-key-generator"  # what every library derives the first key with; the specification forgets it
)
MAX_BYTES, MAX_CAVEATS = 4096, 32


class NotAMacaroon(ValueError):
    """Bytes that no library would have written, or more of them than we read."""


@dataclass(frozen=True, slots=True)
class Macaroon:
    """`caveats` narrow what it is good for; whoever holds it may add some, and take none away."""

    location: bytes
    identifier: bytes
    caveats: tuple[bytes, ...]
    signature: bytes

    def narrowed(self, caveat: bytes) -> Macaroon:
        """With one more caveat, as any holder can make it."""
        return replace(self, caveats=(*self.caveats, caveat), signature=_mac(self.signature, caveat))

    def is_signed_with(self, root_key: bytes) -> bool:
        return hmac.compare_digest(_signature(root_key, self.identifier, self.caveats), self.signature)

    def serialized(self) -> bytes:
        parts = [bytes([VERSION]), _field(LOCATION, self.location), _field(IDENTIFIER, self.identifier), bytes([END])]
        for caveat in self.caveats:
            parts += [_field(IDENTIFIER, caveat), bytes([END])]
        return b"".join([*parts, bytes([END]), _field(SIGNATURE, self.signature)])


def minted(root_key: bytes, location: bytes, identifier: bytes, caveats: Iterable[bytes]) -> Macaroon:
    kept = tuple(caveats)
    return Macaroon(location, identifier, kept, _signature(root_key, identifier, kept))


def read(raw: bytes) -> Macaroon:
    """Raises NotAMacaroon. Nothing is believed yet: `is_signed_with` says whether it is ours."""
    if len(raw) > MAX_BYTES or raw[:1] != bytes([VERSION]):
        raise NotAMacaroon("not a macaroon of version 2")
    reader = _Reader(raw, 1)
    location = reader.field(LOCATION) if reader.next() == LOCATION else b""
    identifier = reader.field(IDENTIFIER)
    reader.end()
    caveats: list[bytes] = []
    while reader.next() != END:
        caveats.append(reader.field(IDENTIFIER))
        reader.end()  # a caveat with a location or a verification id is a third party's
        if len(caveats) > MAX_CAVEATS:
            raise NotAMacaroon("too many caveats")
    reader.end()
    signature = reader.field(SIGNATURE)
    if len(signature) != 32 or reader.next() is not None:
        raise NotAMacaroon("its signature is no signature, or something comes after it")
    return Macaroon(location, identifier, tuple(caveats), signature)


class _Reader:
    def __init__(self, raw: bytes, at: int) -> None:
        self._raw, self._at = raw, at

    def next(self) -> int | None:
        """The type of the next field, or None at the end."""
        return self._raw[self._at] if self._at < len(self._raw) else None

    def end(self) -> None:
        if self.next() != END:
            raise NotAMacaroon("a section does not end where it should")
        self._at += 1

    def field(self, kind: int) -> bytes:
        if self.next() != kind:
            raise NotAMacaroon("a field is missing")
        self._at += 1
        length = self._varint()
        value = self._raw[self._at : self._at + length]
        if len(value) != length:
            raise NotAMacaroon("a field is cut off")
        self._at += length
        return value

    def _varint(self) -> int:
        """Two bytes are enough for MAX_BYTES, and a number is written in as few as it needs: so each macaroon has one spelling."""
        first = self.next()
        if first is None:
            raise NotAMacaroon("a field is cut off")
        self._at += 1
        if first < 0x80:
            return first
        second = self.next()
        if second is None or not 0 < second < 0x80:
            raise NotAMacaroon("a length is not written as it should be")
        self._at += 1
        return (first & 0x7F) | second << 7


def _field(kind: int, value: bytes) -> bytes:
    length, size = b"", len(value)
    while size >= 0x80:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([kind]) + length + bytes([size]) + value


def _signature(root_key: bytes, identifier: bytes, caveats: Iterable[bytes]) -> bytes:
    signature = _mac(_mac(KEY_GENERATOR, root_key), identifier)
    for caveat in caveats:
        signature = _mac(signature, caveat)
    return signature


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
