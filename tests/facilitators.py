"""A facilitator of x402 payments: it believes every signature once, writes down what it is asked, and can be told to refuse."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ASSET, PAY_TO, NETWORK = "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "0x" + "11" * 20, "eip155:84532"


class Chain:
    """Who was asked what; `refuses` says at which step it says no, or answers with nonsense."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.spent: set[str] = set()
        self.refuses = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

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
            return {"isValid": False, "success": False, "invalidReason": "no", "errorReason": "no", "transaction": ""}
        if self.refuses == "nonsense":
            return ["?"]
        payload = json.dumps(question["paymentPayload"]["payload"], sort_keys=True)
        if what == "verify":
            return {"isValid": payload not in self.spent, "invalidReason": "spent", "payer": "0xpayer"}
        is_new = payload not in self.spent
        self.spent.add(payload)
        done = {"success": is_new, "transaction": f"0x{len(self.spent):064x}" if is_new else "", "network": NETWORK}
        return {**done, "payer": "0xpayer"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(chain: Chain) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(chain.answer(self.path.strip("/"), question)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    return Handler
