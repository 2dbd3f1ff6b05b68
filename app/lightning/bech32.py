"""Bech32 as bolt11 uses it: BIP-173, without its limit of 90 characters; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class NotBech32(ValueError):
    """Other characters, mixed case, or a checksum that does not fit."""


def _checksum(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, number in enumerate(GENERATOR):
            check ^= number if top >> bit & 1 else 0
    return check


def _expanded(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def decoded(text: str) -> tuple[str, list[int]]:
    """The prefix, and the five-bit values without their checksum. Raises NotBech32."""
    lower = text.lower()
    prefix, one, data = lower.rpartition("1")
    if text not in (lower, text.upper()) or not one or not prefix or len(data) < 6 or not text.isascii():
        raise NotBech32("not bech32")
    try:
        values = [ALPHABET.index(c) for c in data]
    except ValueError as fault:
        raise NotBech32("not bech32") from fault
    if _checksum(_expanded(prefix) + values) != 1:
        raise NotBech32("the checksum does not fit")
    return prefix, values[:-6]


def encoded(prefix: str, values: Sequence[int]) -> str:
    check = _checksum([*_expanded(prefix), *values, 0, 0, 0, 0, 0, 0]) ^ 1
    return f"{prefix}1" + "".join(ALPHABET[v] for v in [*values, *(check >> 5 * (5 - i) & 31 for i in range(6))])


def to_bytes(values: Sequence[int]) -> bytes:
    """What is left over of less than a byte is dropped."""
    number = 0
    for value in values:
        number = number << 5 | value
    bits = 5 * len(values)
    return (number >> bits % 8).to_bytes(bits // 8, "big")


def from_bytes(raw: bytes) -> list[int]:
    """Filled up with zero bits."""
    length = -(-len(raw) * 8 // 5)
    return from_number(int.from_bytes(raw, "big") << (length * 5 - len(raw) * 8), length)


def from_number(number: int, length: int) -> list[int]:
    return [number >> 5 * (length - 1 - i) & 31 for i in range(length)]
