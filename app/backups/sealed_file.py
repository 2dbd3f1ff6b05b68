"""The file of a backup: a line that says what it is, then the dump in chunks, each sealed in its place (AES-256-GCM, STREAM)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.tokens.secrets import MasterKeys

MAGIC = b"gatehouse backup 1\n"
CHUNK = 1024 * 1024
LONGEST_LINE = 4096
TAG = 16


class BadBackup(Exception):
    """What is wrong with the file, for the operator."""


@dataclass(frozen=True, slots=True)
class About:
    """What everybody may read of a backup. `revision` is the schema's, `version` the program's."""

    made_at: datetime
    revision: str
    version: str

    def line(self, salt: bytes) -> bytes:
        said = {"made_at": self.made_at.isoformat(), "revision": self.revision, "version": self.version}
        return json.dumps(said | {"salt": salt.hex()}).encode() + b"\n"


def write(file: BinaryIO, about: About, dump: Iterator[bytes], secret_keys: tuple[str, ...]) -> None:
    """Sealed under the first of the secret keys."""
    salt = os.urandom(32)
    line = about.line(salt)
    aes = AESGCM(_key(_masters(secret_keys)[0], salt))
    file.write(MAGIC + line)
    held, number = b"", 0
    for part in dump:
        held += part
        while len(held) > CHUNK:  # never the last, which may not be empty
            file.write(aes.encrypt(_nonce(number, last=False), held[:CHUNK], line))
            held, number = held[CHUNK:], number + 1
    file.write(aes.encrypt(_nonce(number, last=True), held, line))


def about(file: BinaryIO) -> tuple[About, bytes]:
    """And the line itself, which is sealed with every chunk. Raises BadBackup."""
    if file.read(len(MAGIC)) != MAGIC:
        raise BadBackup("it is no backup of Gatehouse's")
    line = file.readline(LONGEST_LINE)
    try:
        said = json.loads(line)
        return About(datetime.fromisoformat(said["made_at"]), said["revision"], said["version"]), line
    except (ValueError, KeyError, TypeError):
        raise BadBackup("its first lines are damaged") from None


def opened(file: BinaryIO, line: bytes, secret_keys: tuple[str, ...]) -> Iterator[bytes]:
    """The dump, after `about`. Raises BadBackup when no key opens it, or when a byte is missing, changed or too many."""
    salt = bytes.fromhex(json.loads(line)["salt"])
    ciphers = [AESGCM(_key(master, salt)) for master in _masters(secret_keys)]
    chunk, number = file.read(CHUNK + TAG), 0
    while True:
        following = file.read(CHUNK + TAG)
        plain = None
        for cipher in ciphers:
            try:
                plain = cipher.decrypt(_nonce(number, last=not following), chunk, line)
                ciphers = [cipher]
                break
            except InvalidTag:
                continue
        if plain is None:
            why = "it is damaged" if number else "it was made with another GATEHOUSE_SECRET_KEY, or is damaged"
            raise BadBackup(why)
        yield plain
        if not following:
            return
        chunk, number = following, number + 1


def _masters(secret_keys: tuple[str, ...]) -> tuple[bytes, ...]:
    return MasterKeys.of(secret_keys).for_purpose("backup").keys


def _key(master: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, b"gatehouse backup file").derive(master)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
