"""Clients as this process last read them, for statements that find out, while they act, whether the row is still the same one.

What is remembered may only ever lead to a yes that Postgres confirms; before a no, the client is read anew.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from app.protocol.types import Client

MOST = 10_000
SIGNS = "private_key_jwt"  # each of its assertions is good for one look


class Outdated(Exception):
    """What was remembered does not hold, or does not help: begin again with the client as it is now."""


class Remembered:
    """In one process."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, Client] = OrderedDict()

    def get(self, client_id: str) -> Client | None:
        return self._clients.get(client_id)

    def keep(self, client: Client) -> None:
        if client.token_endpoint_auth_method == SIGNS:
            return
        self._clients.pop(client.client_id, None)
        if len(self._clients) >= MOST:
            self._clients.popitem(last=False)
        self._clients[client.client_id] = replace(client, is_remembered=True)

    def forget(self, client_id: str) -> None:
        self._clients.pop(client_id, None)
