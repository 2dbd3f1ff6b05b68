"""Every setting, read once from the environment (prefix GATEHOUSE_) or .env; all faults are reported together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
Words = Annotated[tuple[str, ...], NoDecode]


class SettingsError(Exception):
    """Every fault of the configuration, a line each."""


class Settings(BaseSettings):
    """The configuration of one process. Lifetimes are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(
        env_prefix="GATEHOUSE_", env_file=".env", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    public_url: str = Field(description="The issuer: the origin people and clients use, without a trailing slash.")
    database_url: SecretStr = Field(description="postgresql://user:password@host/name of a Postgres 15 or newer.")
    secret_key: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="Seals what must be read back; at least 32 characters. Comma-separated: the first seals, all open."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data_dir: Path | None = Field(None, description="Where `up` keeps its database and generated secrets.")
    allowed_hosts: Words = Field((), description="Further Host values accepted at /mcp, besides the public URL's.")
    allowed_origins: Words = Field((), description="Further Origins of browser pages accepted at /mcp.")
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="Networks whose X-Forwarded-For is believed (CIDR, comma-separated)."
    )
    access_token_lifetime: int = Field(3600, ge=60, le=86400, description="Seconds an access token is valid.")
    code_lifetime: int = Field(60, ge=10, le=600, description="Seconds an authorization code is valid.")
    refresh_idle: int = Field(30 * 86400, ge=3600, description="Seconds after which an unused refresh token ends.")
    refresh_absolute: int = Field(90 * 86400, ge=3600, description="Seconds after which a sign-in must be repeated.")
    refresh_grace: int = Field(30, ge=0, le=60, description="Seconds in which a repeated refresh gets the same answer.")
    session_idle: int = Field(8 * 3600, ge=300, description="Seconds after which an unused browser session ends.")
    session_absolute: int = Field(24 * 3600, ge=300, description="Seconds after which a browser session ends.")
    revocation_staleness: int = Field(30, ge=5, description="Seconds /mcp goes on without news from the database.")
    register_per_minute: int = Field(60, ge=0, description="Registrations a minute from one address; 0: no limit.")
    max_unused_clients: int = Field(10_000, ge=0, description="Never-used registrations kept at once; 0: no limit.")
    dpop_nonces: bool = Field(False, description="Demand a nonce of ours in every DPoP proof (RFC 9449 §8).")
    client_documents: Literal["any", "listed", "off"] = Field(
        "any", description="Whose metadata documents (client_id is a URL) are accepted: any, listed hosts only, or off."
    )
    client_document_hosts: Words = Field((), description="The hosts for `listed`, such as claude.ai vscode.dev.")
    pinned_documents: bool = Field(True, description="Use the shipped copy of a well-known client's document in need.")
    ca_file: Path | None = Field(None, description="Further certificate authorities (PEM) for documents we fetch.")
    trace_days: int = Field(7, ge=0, le=90, description="Days that `gatehouse trace` looks back; 0: nothing is traced.")
    pool_size: int = Field(10, ge=1, le=200, description="Database connections of each of the two pools, per process.")
    auto_migrate: bool = Field(False, description="Apply migrations at start instead of refusing to start.")
    log_level: str = Field("info", description="debug, info, warning or error.")

    @field_validator("public_url")
    @classmethod
    def _origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or url != f"{parts.scheme}://{parts.netloc}":
            raise ValueError("must be an origin such as https://mcp.example.com, without path or trailing slash")
        if "@" in parts.netloc or url != url.lower():
            raise ValueError("must be in lower case and without credentials")
        if parts.scheme == "http" and not _is_loopback(url):
            raise ValueError("must be https: plain http is for this computer only")
        return url

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, url: SecretStr) -> SecretStr:
        if urlsplit(url.get_secret_value()).scheme not in ("postgres", "postgresql", "postgresql+asyncpg"):
            raise ValueError("must start with postgresql://")
        return url

    @field_validator("secret_key", mode="before")
    @classmethod
    def _keys(cls, text: object) -> object:
        keys = tuple(part.strip() for part in text.split(",")) if isinstance(text, str) else text
        if isinstance(keys, tuple) and any(len(key) < 32 for key in keys):
            raise ValueError("needs at least 32 characters; make one with: openssl rand -base64 32")
        return keys

    @field_validator("allowed_hosts", "allowed_origins", "client_document_hosts", mode="before")
    @classmethod
    def _words(cls, text: object) -> object:
        return tuple(text.replace(",", " ").split()) if isinstance(text, str) else text

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, text: object) -> object:
        return tuple(ip_network(part) for part in text.replace(",", " ").split()) if isinstance(text, str) else text

    @field_validator("log_level")
    @classmethod
    def _level(cls, level: str) -> str:
        if level.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("must be debug, info, warning or error")
        return level.lower()

    @property
    def issuer(self) -> str:
        return self.public_url

    @property
    def resource(self) -> str:
        """The audience of access tokens (RFC 8707): the one protected MCP server."""
        return f"{self.public_url}/mcp"

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.public_url)

    @property
    def dsn(self) -> str:
        return self.database_url.get_secret_value()

    def accepted_hosts(self) -> frozenset[str]:
        """Host values served at /mcp: the public one, what was added, and on a loopback issuer every name of loopback."""
        netloc = urlsplit(self.public_url).netloc
        hosts = {netloc, *self.allowed_hosts}
        if _is_loopback(self.public_url):
            port = urlsplit(self.public_url).port
            hosts |= {f"{name}:{port}" if port else name for name in LOOPBACK_HOSTS}
        return frozenset(hosts)

    def accepts_origin(self, origin: str) -> bool:
        """Whether a browser page of this origin may call /mcp. On a loopback issuer, any page of this computer may."""
        if origin == self.public_url or origin in self.allowed_origins:
            return True
        return _is_loopback(self.public_url) and origin.startswith("http://") and _is_loopback(origin)


MASK = "********"


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting for people's eyes: no secret is in it. `source`: environment, .env, default, start (an option), not set."""

    setting: str
    value: str
    source: str
    meaning: str


def shown(running: Settings | None = None) -> list[Shown]:
    """Every setting as the environment has it, faults and all; or as it is in a process that runs."""
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    rows = []
    for name, field in Settings.model_fields.items():
        variable = f"GATEHOUSE_{name.upper()}"
        source = "environment" if variable in os.environ else ".env" if variable in file else "default"
        value: Any = os.environ.get(variable, file.get(variable))
        if running is not None:
            value = getattr(running, name)
            source = "start" if source == "default" and (field.is_required() or value != field.default) else source
        elif value is None:
            value, source = (None, "not set") if field.is_required() else (field.default, source)
        secret = SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
        rows.append(Shown(variable, MASK if secret and value else _plain(value), source, field.description or ""))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    except ValueError:
        return False


def load(**given: Any) -> Settings:
    """The settings from arguments, environment and .env, in this order. Raises SettingsError with every fault."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as fault:
        lines = []
        for error in fault.errors():
            name = "GATEHOUSE_" + str(error["loc"][0]).upper()
            why = "is not set" if error["type"] == "missing" else error["msg"].removeprefix("Value error, ")
            lines.append(f"{name} {why}")
        raise SettingsError("\n".join(lines)) from None
