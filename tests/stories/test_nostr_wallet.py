"""Nostr Wallet Connect: an invoice and its payment over a relay, in both encryptions, and what a wallet may get wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.lightning import nostr
from app.lightning.nostr import NIP04, NIP44, BadEvent, opened, public_of, sealed
from app.lightning.secp256k1 import is_schnorr, schnorr
from tests.agents import agent
from tests.conftest import House
from tests.stories.test_lightning import Swapped
from tests.wallets import WalletConnect


@pytest.fixture(params=[NIP44, NIP04])
def wallet(request: pytest.FixtureRequest) -> Iterator[WalletConnect]:
    emulated = WalletConnect(request.param)
    yield emulated
    emulated.close()


def test_a_wallet_far_away_is_paid(house: House, wallet: WalletConnect) -> None:
    robot = agent(house, session_sats=21)
    with Swapped(house, wallet.url):
        started = robot.start(forceLightning=True)
        assert robot.confirm({"quoteId": started["quoteId"]}).json()["paymentStatus"] == "pending"
        wallet.pay(started["invoice"]["paymentHash"])
        house.turn_clock(seconds=2)
        assert robot.confirm({"quoteId": started["quoteId"]}).json()["remainingBudgetSats"] == 21


def test_a_wallet_that_lies_is_not_believed(house: House, wallet: WalletConnect) -> None:
    robot = agent(house)
    with Swapped(house, wallet.url):
        started = robot.start(forceLightning=True)
        wallet.pay(started["invoice"]["paymentHash"])
        for lie in ("preimage", "forged"):
            wallet.ledger.lies = lie
            house.turn_clock(seconds=2)
            assert robot.confirm({"quoteId": started["quoteId"]}).json()["paymentStatus"] == "pending", lie
        wallet.ledger.lies = "amount"
        assert robot.post("/api/mcp/start", {"forceLightning": True}).status_code == 503


def test_a_relay_that_is_away(house: House) -> None:
    wallet = WalletConnect()
    wallet.close()
    with Swapped(house, wallet.url):
        assert agent(house).post("/api/mcp/start", {"forceLightning": True}).status_code == 503


@pytest.mark.parametrize("said", [{"a": 1}, 5, ["EVENT", "info"]])
def test_a_relay_that_does_not_speak_nostr(house: House, said: object) -> None:
    wallet = WalletConnect()
    wallet.says = said
    with Swapped(house, wallet.url):
        assert agent(house).post("/api/mcp/start", {"forceLightning": True}).status_code == 503
    wallet.close()


@pytest.mark.parametrize("said", [{"a": 1}, 5, ["OK"], ["EVENT", "answer"]])
def test_a_relay_that_forgets_its_nostr(house: House, said: object) -> None:
    """Once it is known how the wallet is spoken to."""
    wallet = WalletConnect()
    with Swapped(house, wallet.url):
        robot = agent(house)
        robot.start(forceLightning=True)
        wallet.says = said
        assert robot.post("/api/mcp/start", {"forceLightning": True}).status_code == 503
    wallet.close()


def test_the_vectors_of_bip_340() -> None:
    """Its first two, and a signature that is not one."""
    secret, noise = 3, bytes(32)
    public = bytes.fromhex("F9308A019258C31049344F85F89D5229B531C845836F99B08601F113BCE036F9")
    signature = schnorr(secret, bytes(32), noise)
    assert signature.hex().upper() == (
        "E907831F80848D1069A5371B402410364BDF1C5F8307B0084C55F1CE2DCA8215"
        "25F66A4A85EA8B71E482A74F382D2CE5EBEEE8FDB2172F477DF4900D310536C0"
    )
    assert is_schnorr(public, bytes(32), signature)
    assert not is_schnorr(public, b"\1" * 32, signature)
    assert not is_schnorr(public, bytes(32), signature[:-1] + b"\0")


def test_the_vectors_of_nip_44() -> None:
    """https://github.com/paulmillr/nip44, the first of encrypt_decrypt; and its padding."""
    one, other = (1).to_bytes(32, "big"), (2).to_bytes(32, "big")
    payload = (
        "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABee0G5VSK0/9YypIObAtDKfYEAjD35uVkHyB0F4DwrcNaCXlCWZKaArsGrY6M9wnuTMxWfp1RTN9X"
        "ga8no+kF5Vsb"
    )
    assert opened(payload, one, public_of(other)) == "a"
    lengths = {
        16: 32,
        32: 32,
        33: 64,
        37: 64,
        64: 64,
        65: 96,
        100: 128,
        111: 128,
        200: 224,
        250: 256,
        320: 320,
        515: 640,
    }
    assert {length: nostr._padded_length(length) for length in lengths} == lengths


@pytest.mark.parametrize("how", [NIP44, NIP04])
@pytest.mark.parametrize("text", ["x", "ü" * 500, "{}" * 4000])
def test_what_is_sealed_is_opened_by_the_other_alone(how: str, text: str) -> None:
    one, other, third = (bytes([number]) * 32 for number in (1, 2, 3))
    content = sealed(text, one, public_of(other), how)
    assert opened(content, other, public_of(one)) == text
    try:
        assert opened(content, third, public_of(one)) != text, "NIP-04 has no checksum, and may open to nonsense"
    except BadEvent:
        return
    assert how == NIP04
