"""The settings of paid calls: what buyers may do, and the facilitator for stablecoins, which is off unless it is set."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator
from pydantic_settings import BaseSettings, NoDecode

Words = Annotated[tuple[str, ...], NoDecode]


class Facilitator(BaseModel):
    """Who checks and settles payments on a chain for the operator; Gatehouse holds no keys of any chain (x402 v2 §7).

    `units_per_sat`: how many of the asset's smallest units a sat costs; `extra` is what the scheme wants clients to know,
    such as the token's EIP-712 name and version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: HttpUrl
    network: str = Field(pattern=r"^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,64}$")  # CAIP-2
    asset: str = Field(min_length=1, max_length=100)
    pay_to: str = Field(min_length=1, max_length=100)
    units_per_sat: Decimal = Field(gt=0)
    scheme: Literal["exact"] = "exact"
    extra: dict[str, Any] = {}
    timeout: int = Field(60, ge=1, le=600)  # seconds that a client has to pay in


class PaidSettings(BaseSettings):
    """Part of `Settings`."""

    paid_scope: Words = Field(
        (),
        description="What somebody may do who pays and has no account, such as: read. Empty: only accounts may pay.",
    )
    facilitator: Facilitator | None = Field(
        None,
        description="Takes stablecoins (x402) besides Lightning: JSON with url, network, asset, pay_to, units_per_sat.",
    )

    @field_validator("paid_scope", mode="before")
    @classmethod
    def _apart(cls, text: object) -> object:
        return tuple(text.replace(",", " ").split()) if isinstance(text, str) else text

    @field_validator("paid_scope")
    @classmethod
    def _modest(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if set(words) & {"api_keys", "admin"}:
            raise ValueError("must have neither api_keys nor admin, which are for people")
        return words
