"""What was asked for on the command line, and the one record that is kept of a server: who we are there and what we hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

ANY_PORT = "http://127.0.0.1/callback"


class Way(StrEnum):
    """How a person, or a program, signs in."""

    browser = "browser"
    device = "device"
    machine = "machine"


class Store(StrEnum):
    """Where tokens are kept: in the keyring when there is one, unless said otherwise."""

    auto = "auto"
    file = "file"
    keyring = "keyring"


@dataclass(frozen=True, slots=True)
class Options:
    """`key` is sent as it is; `client_secret` only to the token endpoint; `timeout` in seconds."""

    url: str
    folder: Path
    way: Way = Way.browser
    opens_browser: bool = True
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    scope: str = ""
    timeout: float = 300.0
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    document: str = ""
    redirect_uri: str = ANY_PORT
    key: str = field(default="", repr=False)
    key_name: str = ""
    store: Store = Store.auto
    ca_file: Path | None = None

    @property
    def who(self) -> str:
        """Which client we are; a record is for one URL and one of these."""
        return self.client_id or self.document

    @property
    def secret(self) -> str:
        """Of a client that was registered by hand."""
        return self.client_secret or (self.key if self.way is Way.machine else "")


@dataclass(frozen=True, slots=True)
class Client:
    """`registered` by ourselves (RFC 7591), so that it may be replaced; `redirect_uri` as registered."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    method: str = "none"
    redirect_uri: str = ""
    registered: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_at` in seconds since 1970, 0 when nothing was said; `lifetime` in seconds."""

    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    scope: str = ""
    expires_at: float = 0.0
    lifetime: float = 0.0

    def are_fresh(self, now: float) -> bool:
        """With a margin, since the request takes its time and clocks differ."""
        return not self.expires_at or now < self.expires_at - min(30.0, self.lifetime / 10)


@dataclass(frozen=True, slots=True)
class Record:
    """The endpoints are those of the server that gave the tokens: nobody else is ever sent them."""

    url: str
    issuer: str
    resource: str
    token_endpoint: str
    revocation_endpoint: str
    client: Client
    tokens: Tokens | None = None
    asked: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(value: Any) -> Record:
        """Raises KeyError, TypeError or ValueError for what is no record."""
        given = {**value, "client": Client(**value["client"])}
        if given.get("tokens") is not None:
            given["tokens"] = Tokens(**given["tokens"])
        record = Record(**given)
        texts = (record.url, record.issuer, record.resource, record.token_endpoint, record.client.client_id)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("no record")
        return record
