"""What every Lightning node is asked: for an invoice, and whether one is settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.settings.lightning_url import NodeUrl


class NodeFault(Exception):
    """The node is away, slow, or says what cannot be; in words for the operator, without its secrets."""


class Node(Protocol):
    """One Lightning node. Both raise NodeFault."""

    network: str  # bitcoin, testnet, signet, regtest

    async def invoice(self, sats: int, memo: str, seconds: int, reference: str) -> str:
        """A new bolt11 for so much, good for so long. `reference` is our own name of it, for the node's books."""
        ...

    async def settled(self, payment_hash: str) -> bytes | None:
        """The preimage of this invoice, if it was paid; None if not yet, or if it was canceled or expired."""
        ...

    async def close(self) -> None: ...


Open = Callable[[NodeUrl], Node]
