"""The curve of Lightning and Nostr, for a signature now and then: SEC 1, BIP-340. Slow, not in constant time; pure."""

from __future__ import annotations

import hashlib
import hmac

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
Point = tuple[int, int]


def added(a: Point | None, b: Point | None) -> Point | None:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(scalar: int, point: Point = G) -> Point:
    """Raises ValueError for the point at infinity."""
    result: Point | None = None
    bit: Point | None = point
    while scalar:
        if scalar & 1:
            result = added(result, bit)
        bit = added(bit, bit)
        scalar >>= 1
    if result is None:
        raise ValueError("the point at infinity")
    return result


def recoverable(secret: int, digest: bytes) -> bytes:
    """An ECDSA signature of 64 bytes, low s, and a byte that says which key it is of (BOLT #11)."""
    e = int.from_bytes(digest, "big")
    k = int.from_bytes(hmac.digest(secret.to_bytes(32, "big"), b"nonce" + digest, "sha256"), "big") % N
    x, y = times(k)
    r = x % N
    s = pow(k, -1, N) * (e + r * secret) % N
    which = (y & 1) ^ (s > N // 2)
    return r.to_bytes(32, "big") + min(s, N - s).to_bytes(32, "big") + bytes([which])


def _tagged(tag: str, message: bytes) -> int:
    head = hashlib.sha256(tag.encode()).digest()
    return int.from_bytes(hashlib.sha256(head + head + message).digest(), "big")


def schnorr(secret: int, message: bytes, noise: bytes) -> bytes:
    """BIP-340; `noise` is 32 random bytes."""
    x, y = times(secret)
    d = secret if y % 2 == 0 else N - secret
    public = x.to_bytes(32, "big")
    masked = (d ^ _tagged("BIP0340/aux", noise)).to_bytes(32, "big")
    k = _tagged("BIP0340/nonce", masked + public + message) % N
    rx, ry = times(k)
    k = k if ry % 2 == 0 else N - k
    e = _tagged("BIP0340/challenge", rx.to_bytes(32, "big") + public + message) % N
    return rx.to_bytes(32, "big") + ((k + e * d) % N).to_bytes(32, "big")


def lifted(x: int) -> Point:
    """The point of this x with an even y. Raises ValueError when there is none."""
    square = (pow(x, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if x >= P or y * y % P != square:
        raise ValueError("not on the curve")
    return x, y if y % 2 == 0 else P - y


def is_schnorr(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key of this x signed it (BIP-340)."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or len(public) != 32 or r >= P or s >= N:
        return False
    try:
        point = lifted(int.from_bytes(public, "big"))
    except ValueError:
        return False
    e = _tagged("BIP0340/challenge", signature[:32] + public + message) % N
    found = added(times(s) if s else None, times(N - e, point) if e else None)
    return found is not None and found[1] % 2 == 0 and found[0] == r
