"""The x402 package pays what a server asks in stablecoins: its httpx client signs with a key made up for this, in its own Python.

Argv: the address, and the JSON to post. Prints what came back. No chain is there: the facilitator of the test believes signatures,
and what this client would not sign it does not send."""

import asyncio
import importlib
import json
import sys

account = importlib.import_module("eth_account").Account.create()
x402 = importlib.import_module("x402")
evm = importlib.import_module("x402.mechanisms.evm")
exact = importlib.import_module("x402.mechanisms.evm.exact")
httpx_client = importlib.import_module("x402.http.clients.httpx")


async def main(url: str, posted: str) -> None:
    client = x402.x402Client()
    client.register("eip155:84532", exact.ExactEvmClientScheme(evm.EthAccountSigner(account)))
    client.set_spend_controls(False)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    async with httpx_client.x402HttpxClient(client) as http:
        answer = await http.post(url, content=posted, headers=headers)
        print(json.dumps({"status": answer.status_code, "headers": dict(answer.headers), "body": answer.text}))


asyncio.run(main(sys.argv[1], sys.argv[2]))
