"""Other people's macaroon libraries judge ours: pymacaroons and npm's `macaroon` (libmacaroons binary format, version 2)."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.protocol import l402
from app.protocol.macaroon import Macaroon, minted, read
from app.protocol.offer import Offer
from tests.referees.paying import installed

WHY_NOT = installed.why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
JUDGES = ["pymacaroons", "npm macaroon"]
EACH = pytest.mark.parametrize("judge", JUDGES)
ROOT = b"root key of thirty-two bytes ...."
LATER = datetime(2026, 11, 21, tzinfo=UTC) + timedelta(days=1)


def asked(judge: str, token: Macaroon, key: bytes = ROOT, add: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the library makes of it."""
    if judge == "pymacaroons":
        command = [str(installed.python()), str(installed.PLACE / "macaroons.py")]
    else:
        command = [str(installed.node()), "macaroons.mjs"]
    question = json.dumps({"token": token.serialized().hex(), "key": key.hex()} | ({"add": add} if add else {}))
    ran = subprocess.run(command, cwd=installed.PLACE, input=question, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def ours(*caveats: bytes) -> Macaroon:
    return minted(ROOT, b"https://mcp.example.com", b"\0\0" + b"h" * 32 + b"t" * 32, caveats)


@EACH
def test_it_reads_and_verifies_what_we_minted(judge: str) -> None:
    token = ours(b"services=mcp:0", b"mcp_capabilities=" + b"x" * 300)
    said = asked(judge, token)
    assert said["verified"] is True
    assert said["identifier"] == token.identifier.hex()
    assert said["caveats"] == [caveat.decode() for caveat in token.caveats]
    assert said["token"] == token.serialized().hex(), "it would write it differently"


@EACH
def test_it_refuses_what_is_not_ours(judge: str) -> None:
    assert asked(judge, ours(b"a=b"), b"another root key of thirty-two ..")["verified"] is False
    assert asked(judge, replace(ours(b"a=b"), caveats=()))["verified"] is False


@EACH
def test_what_it_narrows_is_read_and_verified_by_us(judge: str) -> None:
    token = ours(b"services=mcp:0")
    said = asked(judge, token, add=("mcp_valid_until=5", "mcp_capabilities=forecast"))
    ours_too = token.narrowed(b"mcp_valid_until=5").narrowed(b"mcp_capabilities=forecast")
    assert said["signature"] == ours_too.signature.hex()
    assert ours_too.is_signed_with(ROOT)
    if judge == "pymacaroons":
        assert read(bytes.fromhex(said["token"])) == ours_too


@EACH
def test_a_402s_macaroon_is_one_that_they_can_narrow(judge: str) -> None:
    """From the offer through a foreign library back into what it buys."""
    keys, preimage = (b"k" * 32,), b"p" * 32
    paid_for = hashlib.sha256(preimage).digest()
    offer = Offer(paid_for, "lnbcrt1", 21, "regtest", "https://x/mcp", "mcp", "forecast", LATER, LATER)
    token = l402.macaroon(offer, keys, "https://x", b"t" * 32)
    said = asked(judge, token, add=("mcp_valid_until=1000",))
    narrowed = replace(
        token, caveats=(*token.caveats, b"mcp_valid_until=1000"), signature=bytes.fromhex(said["signature"])
    )
    proof = l402.proof(f"{base64.b64encode(narrowed.serialized()).decode()}:{preimage.hex()}", keys)
    assert proof.tools == frozenset({"forecast"})
    assert proof.until == datetime.fromtimestamp(1000, UTC)
