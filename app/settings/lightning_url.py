"""GATEHOUSE_LIGHTNING_URL: which kind of node, where, and with what; faults are said without the URL, which has a secret in it."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

from app.settings.loopback import is_loopback

NWC, PRETEND = "nostr+walletconnect", "pretend"
# What each kind cannot do without, as a part of the URL or an option of its query, and how it is written.
NEEDED = {
    "lnbits": ("username", "the wallet's invoice key: lnbits://KEY@host"),
    "lnd": ("macaroon", "an invoice macaroon: lnd://host:8080?macaroon=HEX"),
    "clnrest": ("rune", "a rune: clnrest://host:3010?rune=RUNE"),
    "phoenixd": ("password", "phoenixd's password: phoenixd://:PASSWORD@host:9740"),
    NWC: ("secret", "a secret, as the wallet writes it: nostr+walletconnect://…?relay=…&secret=…"),
}
NETWORKS = ("bitcoin", "testnet", "signet", "regtest")


class NodeUrl:
    """`scheme://secret@host:port?option=…`; `+http` and `+https` at the end of the scheme say how it is reached. Raises
    ValueError."""

    def __init__(self, url: str) -> None:
        try:
            self.parts: SplitResult = urlsplit(url)
            _ = self.parts.port
        except ValueError:
            raise ValueError("is not a URL") from None
        scheme, _, self._by = self.parts.scheme.partition("+")
        self.kind = NWC if self.parts.scheme == NWC else scheme
        if self.kind not in (*NEEDED, PRETEND) or (self._by not in ("", "http", "https") and self.kind != NWC):
            raise ValueError(f"must begin with one of {', '.join(f'{name}:' for name in (*NEEDED, PRETEND))}")
        self.options = {name: values[-1] for name, values in parse_qs(self.parts.query).items()}
        self.network = self.options.get("network", "regtest" if self.kind == PRETEND else "bitcoin")
        if self.network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}")
        if self.kind != PRETEND:
            if not self.parts.hostname:
                raise ValueError("names no host")
            if not self.secret:
                raise ValueError(f"needs {NEEDED[self.kind][1]}")

    @property
    def secret(self) -> str:
        """What the node wants to see of us."""
        name = NEEDED[self.kind][0]
        return self.options.get(name) or (getattr(self.parts, name, None) or "")

    def address(self, default: str) -> str:
        """Where its HTTP interface is; `default`: http or https."""
        netloc = self.parts.netloc.rpartition("@")[2]
        return urlunsplit((self._by or default, netloc, self.parts.path.rstrip("/"), "", ""))


def check_node(url: str, public_url: str) -> None:
    """Raises ValueError for the URL of no node, and for a pretended one where others than its owner come."""
    if NodeUrl(url).kind == PRETEND and not is_loopback(public_url):
        raise ValueError("only pretends: anybody could pay without paying. It is for servers of this computer")
