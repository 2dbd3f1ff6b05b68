"""From GATEHOUSE_LIGHTNING_URL to the node: its scheme says which kind it is. To add one: a file beside this, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib import import_module

from app.db.engine import HotPool
from app.lightning.node import Node, Open
from app.settings.lightning_url import NWC, PRETEND, NodeUrl

# Imported when there is such a node: no process needs the others.
KINDS = {
    "lnbits": ("app.lightning.lnbits", "Lnbits"),
    "lnd": ("app.lightning.lnd", "Lnd"),
    "clnrest": ("app.lightning.clnrest", "Clnrest"),
    "phoenixd": ("app.lightning.phoenixd", "Phoenixd"),
    NWC: ("app.lightning.nwc", "NostrWallet"),
}


def node_of(url: str | None, pool: HotPool, now: Callable[[], datetime]) -> Node | None:
    """None where no node is configured. Raises ValueError, and OSError for a certificate that cannot be read."""
    if url is None:
        return None
    found = NodeUrl(url)
    if found.kind == PRETEND:
        from app.lightning.pretend import Pretend  # it signs its invoices, with curves of its own

        return Pretend(pool, now)
    module, name = KINDS[found.kind]
    opened: Open = getattr(import_module(module), name)
    return opened(found)
