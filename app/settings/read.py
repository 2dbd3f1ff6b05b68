"""Every setting, read once from the environment (prefix GATEHOUSE_) or .env; all faults are reported together."""

from __future__ import annotations

import ssl
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import NoDecode, SettingsConfigDict

from app.settings import branding
from app.settings.lightning_url import check_node
from app.settings.loopback import is_loopback, loopback_names
from app.settings.mail import MailSettings
from app.settings.operation import Operation
from app.settings.paid import PaidSettings
from app.settings.postgres_url import check_database
from app.settings.providers import ProviderSettings

Words = Annotated[tuple[str, ...], NoDecode]


class SettingsError(Exception):
    """Every fault of the configuration, a line each."""


class Settings(MailSettings, PaidSettings, ProviderSettings, Operation):
    """The configuration of one process. Lifetimes are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(
        env_prefix="GATEHOUSE_",
        env_file=".env",
        env_ignore_empty=True,  # as compose files hand on what is not set
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    public_url: str = Field(description="The issuer: the origin people and clients use, without a trailing slash.")
    database_url: SecretStr = Field(description="postgresql://user:password@host/name of a Postgres 15 or newer.")
    direct_database_url: SecretStr | None = Field(None, description="The same, past PgBouncer (docs/operate.md).")
    secret_key: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="Seals what must be read back; at least 32 characters. Comma-separated: the first seals, all open."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data_dir: Path | None = Field(None, description="Where `up` keeps its database and generated secrets.")
    allowed_hosts: Words = Field((), description="Further Host values that are served, besides the public URL's.")
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
    trusted_issuers: Words = Field(
        (), description="Identity providers whose users may come in by their word (ID-JAG), as https URLs; none: off."
    )
    pinned_documents: bool = Field(True, description="Use the shipped copy of a well-known client's document in need.")
    ca_file: Path | None = Field(None, description="Further certificate authorities (PEM) for documents we fetch.")
    trace_days: int = Field(7, ge=0, le=90, description="Days that `gatehouse trace` looks back; 0: nothing is traced.")
    sign_up: Literal["closed", "invited", "open"] = Field(
        "closed",
        validate_default=True,
        description="Who may make an account: closed (nobody), invited, or open (needs mail).",
    )
    lightning_url: SecretStr | None = Field(None, description="Where sats are paid to (docs/agents.md); none: nowhere.")
    register_work: int = Field(0, ge=0, le=22, description="Bits of work a registration costs; 0: none.")
    resources_file: Path | None = Field(None, description="Else gatehouse.toml of the working or the data directory.")
    audit_days: int = Field(365, ge=0, description="Days that the audit log is kept; 0: for ever.")
    brand_name: str = Field(branding.NAME, description="What pages and mails call this server.")
    brand_logo: Path | None = Field(None, description="An SVG or PNG file, at most 100 KB, in place of the gate.")
    brand_accent: str | None = Field(None, description="The colour of buttons and links, such as #1f5c4d.")
    pool_size: int = Field(10, ge=1, le=200, description="Database connections of each of the two pools, per process.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = Field(
        "info", description="debug, info, warning or error."
    )

    @field_validator("public_url")
    @classmethod
    def _origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or url != f"{parts.scheme}://{parts.netloc}":
            raise ValueError("must be an origin such as https://mcp.example.com, without path or trailing slash")
        if "@" in parts.netloc or url != url.lower():
            raise ValueError("must be in lower case and without credentials")
        if parts.scheme == "http" and not is_loopback(url):
            raise ValueError("must be https: plain http is for this computer only")
        return url

    @field_validator("database_url", "direct_database_url")
    @classmethod
    def _postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            check_database(url.get_secret_value())
        return url

    @field_validator("ca_file")
    @classmethod
    def _authorities(cls, path: Path | None) -> Path | None:
        try:
            if path is not None:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError:
            raise ValueError(f"({path}) holds no certificates (PEM)") from None
        except OSError as fault:
            raise ValueError(f"({path}) cannot be read: {fault.strerror}") from None
        return path

    @field_validator("lightning_url")
    @classmethod
    def _node(cls, url: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        if url is not None:
            check_node(url.get_secret_value(), others.data.get("public_url", ""))
        return url

    @field_validator("sign_up")
    @classmethod
    def _who_may_sign_up(cls, sign_up: str, others: ValidationInfo) -> str:
        by_others = others.data.get("providers") or others.data.get("sign_in") == "providers"
        if sign_up == "open" and not (others.data.get("smtp_url") or by_others):
            raise ValueError(
                "cannot be open without mail: addresses are verified by a link. Set GATEHOUSE_SMTP_URL, or: invited"
            )
        return sign_up

    @field_validator("secret_key", mode="before")
    @classmethod
    def _keys(cls, text: object) -> object:
        keys = tuple(part.strip() for part in text.split(",")) if isinstance(text, str) else text
        if isinstance(keys, tuple) and any(len(key) < 32 for key in keys):
            raise ValueError("needs at least 32 characters; make one with: openssl rand -base64 32")
        return keys

    @field_validator("allowed_hosts", "allowed_origins", "client_document_hosts", "trusted_issuers", mode="before")
    @classmethod
    def _words(cls, text: object) -> object:
        return tuple(text.replace(",", " ").split()) if isinstance(text, str) else text

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, text: object) -> object:
        return tuple(ip_network(part) for part in text.replace(",", " ").split()) if isinstance(text, str) else text

    @field_validator("trusted_issuers")
    @classmethod
    def _issuers(cls, issuers: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """RFC 8414 §2; and never ourselves, who would make a token of every token."""
        for issuer in issuers:
            parts = urlsplit(issuer)
            if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or set(issuer) & set("?#"):
                raise ValueError("must be https URLs without query, fragment or credentials")
            if issuer.rstrip("/") == info.data.get("public_url"):
                raise ValueError("must not name this server itself")
        return issuers

    @field_validator("brand_name")
    @classmethod
    def _brand_name(cls, name: str) -> str:
        if fault := branding.name_fault(name):
            raise ValueError(fault)
        return name.strip()

    @field_validator("brand_logo")
    @classmethod
    def _brand_logo(cls, path: Path | None) -> Path | None:
        if path is not None and (fault := branding.logo_fault(path)):
            raise ValueError(f"({path}) {fault}")
        return path

    @field_validator("brand_accent")
    @classmethod
    def _brand_accent(cls, colour: str | None) -> str | None:
        if colour and not branding.ACCENT.match(colour):
            raise ValueError("must be a colour such as #1f5c4d")
        return colour.lower() if colour else None

    @property
    def issuer(self) -> str:
        return self.public_url

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.public_url)

    @property
    def can_mail(self) -> bool:
        return self.smtp_url is not None

    @property
    def dsn(self) -> str:
        return self.database_url.get_secret_value()

    @property
    def direct_dsn(self) -> str:
        return (self.direct_database_url or self.database_url).get_secret_value()

    @property
    def brand(self) -> branding.Brand:
        return branding.brand(self.brand_name, self.brand_logo, self.brand_accent)

    def accepted_hosts(self) -> frozenset[str]:
        """Host values served at /mcp: the public one, what was added, and on a loopback issuer every name of loopback."""
        netloc = urlsplit(self.public_url).netloc
        return frozenset({netloc, *self.allowed_hosts, *loopback_names(self.public_url)})

    def accepts_origin(self, origin: str) -> bool:
        """Whether a browser page of this origin may call /mcp. On a loopback issuer, any page of this computer may."""
        if origin == self.public_url or origin in self.allowed_origins:
            return True
        return is_loopback(self.public_url) and origin.startswith("http://") and is_loopback(origin)


def load(**given: Any) -> Settings:
    """The settings from arguments, environment and .env, in this order. Raises SettingsError with every fault."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as fault:
        raise SettingsError("\n".join(_words(error) for error in fault.errors())) from None


def _words(error: ErrorDetails) -> str:
    """With the member at fault, where the setting is an object."""
    name, member = f"GATEHOUSE_{error['loc'][0]}".upper(), ".".join(map(str, error["loc"][1:]))
    if error["type"] == "missing":
        return f"{name} has no {member}" if member else f"{name} is not set"
    return f"{name}{f': {member}:' if member else ''} {error['msg'].removeprefix('Value error, ')}"
