"""Settings about other services: who they are, whether they are the only way in, whose redirects are accepted at all."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from app.protocol.provider import Provider
from app.protocol.provider_definition import BadDefinition, defined
from app.settings.variables import environment

MOST_BYTES = 256 * 1024


class ProviderSettings(BaseSettings):
    """What `Settings` has of them."""

    providers: Annotated[SecretStr | None, NoDecode] = Field(
        None, description="Services to sign in with or to connect: a TOML file, or the same as JSON (docs/upstream.md)."
    )
    sign_in: Literal["any", "providers"] = Field(
        "any", description="How people sign in: any way, or by providers only (with a single one it is a broker)."
    )
    redirect_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="The only hosts and app schemes that apps may redirect to, such as claude.ai localhost; empty: any.",
    )

    @field_validator("providers")
    @classmethod
    def _providers(cls, text: SecretStr | None) -> SecretStr | None:
        if text is None or not text.get_secret_value().strip():
            return None
        read(text.get_secret_value())
        return text

    @field_validator("redirect_hosts", mode="before")
    @classmethod
    def _hosts(cls, text: object) -> object:
        return tuple(text.replace(",", " ").lower().split()) if isinstance(text, str) else text

    @property
    def given_providers(self) -> tuple[Provider, ...]:
        return () if self.providers is None else read(self.providers.get_secret_value())


def read(text: str) -> tuple[Provider, ...]:
    """The providers of a file or of JSON. Raises ValueError with every fault."""
    folder = Path()
    try:
        if text.lstrip().startswith("{"):
            document = json.loads(text)
        else:
            path = Path(text.strip()).expanduser()
            folder, content = path.parent, path.read_bytes()[:MOST_BYTES]
            document = tomllib.loads(content.decode())
            document = document.get("providers", document)
    except OSError as fault:
        raise ValueError(f"names a file that cannot be read: {fault.strerror}") from None
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"is neither a TOML file nor JSON: {fault}") from None
    if not isinstance(document, dict):
        raise ValueError("must have a table for each provider")
    found, faults = [], []
    for name, given in document.items():
        try:
            found.append(defined(name, _with_secrets(given, folder)))
        except BadDefinition as fault:
            faults += [f"{name}: {why}" for why in fault.faults]
    if faults:
        raise ValueError("has faults: " + "; ".join(faults))
    return tuple(found)


def _with_secrets(given: Any, folder: Path) -> Mapping[str, Any]:
    """`client_secret` may be named instead of written: { env = "NAME" } or { file = "/run/secrets/x" }. Raises BadDefinition."""
    if not isinstance(given, dict):
        raise BadDefinition(["must be a table"])
    named = given.get("client_secret")
    if not isinstance(named, dict):
        return given
    if set(named) == {"env"} and isinstance(named["env"], str):
        found = environment().get(named["env"])
        if not found:
            raise BadDefinition([f"client_secret: {named['env']} is not set"])
        return given | {"client_secret": found}
    if set(named) == {"file"} and isinstance(named["file"], str):
        try:
            return given | {"client_secret": (folder / named["file"]).read_text().strip()}
        except (OSError, ValueError):
            raise BadDefinition([f"client_secret: {named['file']} cannot be read"]) from None
    raise BadDefinition(['client_secret must be a text, { env = "NAME" } or { file = "/path" }'])
