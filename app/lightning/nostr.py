"""Nostr events, signed (NIP-01), and their contents between two, sealed (NIP-44 v2, and NIP-04 for wallets that know no other)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.padding import PKCS7

from app.lightning.secp256k1 import is_schnorr, lifted, schnorr, times

NIP44, NIP04 = "nip44_v2", "nip04"


class BadEvent(Exception):
    """Not signed as it says, or not to be opened."""


def public_of(secret: bytes) -> str:
    return times(int.from_bytes(secret, "big"))[0].to_bytes(32, "big").hex()


def _identifier(event: dict[str, Any]) -> str:
    parts = [0, *(event[name] for name in ("pubkey", "created_at", "kind", "tags", "content"))]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def signed(secret: bytes, kind: int, tags: list[list[str]], content: str, at: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "pubkey": public_of(secret),
        "created_at": at,
        "kind": kind,
        "tags": tags,
        "content": content,
    }
    event["id"] = _identifier(event)
    return event | {"sig": schnorr(int.from_bytes(secret, "big"), bytes.fromhex(event["id"]), os.urandom(32)).hex()}


def check(event: Any, public: str) -> dict[str, Any]:
    """The event, if this key signed it. Raises BadEvent."""
    try:
        fits = event["pubkey"] == public and event["id"] == _identifier(event)
        signature = bytes.fromhex(event["sig"])
        if fits and is_schnorr(bytes.fromhex(public), bytes.fromhex(event["id"]), signature):
            found: dict[str, Any] = event
            return found
    except (KeyError, TypeError, ValueError):
        pass
    raise BadEvent("the event is not signed by the wallet")


def _shared(secret: bytes, public: str) -> bytes:
    """The x of both keys' product (SEC 1 §3.3.1)."""
    point = lifted(int(public, 16))
    return times(int.from_bytes(secret, "big"), point)[0].to_bytes(32, "big")


def sealed(text: str, secret: bytes, public: str, how: str) -> str:
    if how == NIP04:
        iv, padder = os.urandom(16), PKCS7(128).padder()
        padded = padder.update(text.encode()) + padder.finalize()
        work = Cipher(AES(_shared(secret, public)), CBC(iv)).encryptor()
        done = work.update(padded) + work.finalize()
        return f"{base64.b64encode(done).decode()}?iv={base64.b64encode(iv).decode()}"
    nonce, raw = os.urandom(32), text.encode()
    cipher, mac_key = _keys(secret, public, nonce)
    padded = len(raw).to_bytes(2, "big") + raw + bytes(_padded_length(len(raw)) - len(raw))
    done = cipher.encryptor().update(padded)
    return base64.b64encode(b"\x02" + nonce + done + hmac.digest(mac_key, nonce + done, "sha256")).decode()


def opened(content: str, secret: bytes, public: str) -> str:
    """In whichever way it was sealed. Raises BadEvent."""
    try:
        return _opened04(content, secret, public) if "?iv=" in content else _opened44(content, secret, public)
    except (ValueError, binascii.Error, IndexError) as fault:
        raise BadEvent("the content cannot be opened") from fault


def _opened04(content: str, secret: bytes, public: str) -> str:
    done, _, iv = content.partition("?iv=")
    work = Cipher(AES(_shared(secret, public)), CBC(base64.b64decode(iv))).decryptor()
    padded = work.update(base64.b64decode(done)) + work.finalize()
    unpadder = PKCS7(128).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


def _opened44(content: str, secret: bytes, public: str) -> str:
    raw = base64.b64decode(content, validate=True)
    nonce, done, mac = raw[1:33], raw[33:-32], raw[-32:]
    cipher, mac_key = _keys(secret, public, nonce)
    if raw[0] != 2 or not hmac.compare_digest(mac, hmac.digest(mac_key, nonce + done, "sha256")):
        raise ValueError("not NIP-44 v2, or altered")
    padded = cipher.decryptor().update(done)
    length = int.from_bytes(padded[:2], "big")
    if length == 0 or len(padded) != 2 + _padded_length(length):
        raise ValueError("the padding is not as it should be")
    return padded[2 : 2 + length].decode()


def _keys(secret: bytes, public: str, nonce: bytes) -> tuple[Cipher[Any], bytes]:
    conversation = hmac.digest(b"nip44-v2", _shared(secret, public), "sha256")
    keys = HKDFExpand(SHA256(), 76, nonce).derive(conversation)
    return Cipher(ChaCha20(keys[:32], bytes(4) + keys[32:44]), None), keys[44:]


def _padded_length(length: int) -> int:
    if length <= 32:
        return 32
    power = 1 << (length - 1).bit_length()
    chunk = 32 if power <= 256 else power // 8
    return chunk * ((length - 1) // chunk + 1)
