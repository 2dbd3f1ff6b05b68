"""From GATEHOUSE_LIGHTNING_URL to the node: its scheme says which kind it is. To add one: a file beside this, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.db.engine import HotPool
from app.lightning.clnrest import Clnrest
from app.lightning.lnbits import Lnbits
from app.lightning.lnd import Lnd
from app.lightning.node import Node, Open
from app.lightning.nwc import NostrWallet
from app.lightning.phoenixd import Phoenixd
from app.lightning.pretend import Pretend
from app.lightning_url import NWC, PRETEND, NodeUrl

KINDS: dict[str, Open] = {"lnbits": Lnbits, "lnd": Lnd, "clnrest": Clnrest, "phoenixd": Phoenixd, NWC: NostrWallet}


def node_of(url: str | None, pool: HotPool, now: Callable[[], datetime]) -> Node | None:
    """None where no node is configured. Raises ValueError, and OSError for a certificate that cannot be read."""
    if url is None:
        return None
    found = NodeUrl(url)
    return Pretend(pool, now) if found.kind == PRETEND else KINDS[found.kind](found)
