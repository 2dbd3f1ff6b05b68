"""A facilitator of x402 payments: it believes every signature once, writes down what it is asked, and can be told to refuse, to
settle and not to say so, to say the same again to whoever asks again, or not to."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ASSET, PAY_TO, NETWORK = "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "0x" + "11" * 20, "eip155:84532"


class Chain:
    """Who was asked what; `refuses` says at which step it says no, or answers with nonsense.

    `cuts`: it settles, and the connection breaks before it says so; `hold`, when it is clear: so late that nobody waits.
    `first`: until it is set who asks first is not answered, and `waits` is set. `leaves`: it is gone once it has verified.
    `kills`: the process that dies of it before it hears so. `repeats`: who asks again is told the same again, by others that the
    nonce was used. `pending`: so often it says that first.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.spent: dict[str, str] = {}
        self.refuses, self.reason = "", "no"
        self.hold = threading.Event()
        self.first: threading.Event | None = None
        self.waits = threading.Event()
        self.begin()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def begin(self) -> None:
        """As it was."""
        self.asked.clear()
        self.refuses, self.reason, self.cuts, self.repeats, self.pending, self.kills = "", "no", False, False, 0, 0
        self.leaves = False
        self.waits.clear()
        self.hold.set()

    @property
    def settings(self) -> dict[str, Any]:
        """As an operator sets GATEHOUSE_FACILITATOR."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        extra = {"name": "USDC", "version": "2"}
        return {
            "url": url,
            "network": NETWORK,
            "asset": ASSET,
            "pay_to": PAY_TO,
            "units_per_sat": "650.5",
            "extra": extra,
        }

    def answer(self, what: str, question: dict[str, Any]) -> object:
        self.asked.append((what, question))
        if self.refuses == what:
            why = {"invalidReason": self.reason, "errorReason": self.reason}
            return {"isValid": False, "success": False, "transaction": "", **why}
        if self.refuses == "nonsense":
            return ["?"]
        payload = json.dumps(question["paymentPayload"]["payload"], sort_keys=True)
        if what == "verify":
            first, self.first = self.first, None
            if first is not None:
                self.waits.set()
                first.wait(30)
            if self.leaves:
                self.close()
            return {"isValid": payload not in self.spent, "invalidReason": "spent", "payer": "0xpayer"}
        is_good = payload not in self.spent or self.repeats
        transaction = self.spent.setdefault(payload, f"0x{len(self.spent) + 1:064x}")
        self.hold.wait(30)
        if self.kills:
            os.kill(self.kills, signal.SIGKILL)
        if self.pending:
            self.pending -= 1
            self.repeats = True
            return {"success": False, "errorReason": "settlement_pending", "transaction": transaction}
        if not is_good:
            return {"success": False, "errorReason": "invalid_exact_evm_nonce_already_used", "transaction": ""}
        return {"success": True, "transaction": transaction, "network": NETWORK, "payer": "0xpayer"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(chain: Chain) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["content-length"])))
            what = self.path.strip("/")
            body = json.dumps(chain.answer(what, question)).encode()
            if chain.cuts and what == "settle":
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # whoever asked has gone
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    return Handler
