"""Run by LNbits' own Python: its wallet classes, written against the real nodes, drive one of our emulators (tests/nodes.py)."""

import asyncio
import importlib
import json
import sys

WALLETS = {
    "lnd": ("lndrest", "LndRestWallet", ("lnd_rest_endpoint", "lnd_rest_macaroon")),
    "clnrest": ("clnrest", "CLNRestWallet", ("clnrest_url", "clnrest_readonly_rune", "clnrest_invoice_rune")),
    "nwc": ("nwc", "NWCWallet", ("nwc_pairing_url",)),
    "phoenixd": ("phoenixd", "PhoenixdWallet", ("phoenixd_api_endpoint", "phoenixd_api_password")),
}


def say(**words: object) -> None:
    print(json.dumps(words), flush=True)


async def main(kind: str, address: str, secret: str) -> None:
    """Makes an invoice, and says whether it is paid each time that it is asked."""
    module, name, (where, *secrets) = WALLETS[kind]
    settings = importlib.import_module("lnbits.settings").settings
    setattr(settings, where, address)
    for known in secrets:
        setattr(settings, known, secret)
    wallet = getattr(importlib.import_module(f"lnbits.wallets.{module}"), name)()
    wallet.payment_status_cache_pending_ttl = 0  # of the one for NWC, which otherwise asks every half minute
    made = await wallet.create_invoice(21, "a memo", expiry=600)
    say(ok=made.ok, hash=made.checking_id, bolt11=made.payment_request, error=made.error_message)
    for _ in range(2):
        sys.stdin.readline()
        say(paid=bool((await wallet.get_invoice_status(made.checking_id)).success))


asyncio.run(main(*sys.argv[1:]))
