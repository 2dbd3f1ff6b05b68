"""The JSON that the admin API is sent, checked strictly."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Wish(BaseModel):
    """What is sent: nothing that is not known, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewUser(Wish):
    email: str = Field(max_length=254)
    name: str = Field("", max_length=100)
    is_admin: bool = False


class NewInvitation(Wish):
    email: str = Field(max_length=254)
    is_admin: bool = False
    by_mail: bool = True


class UserChange(Wish):
    """One thing at a time, or both."""

    disabled: bool | None = None
    is_admin: bool | None = None


class NewClient(Wish):
    client_name: str = Field(min_length=1, max_length=200)
    redirect_uris: list[str] = Field(min_length=1, max_length=10)
    scope: str = Field("", max_length=200)
    public: bool = False


class ClientChange(Wish):
    """What is left out stays. A lifetime of null is the one of the settings."""

    blocked: bool | None = None
    access_lifetime: int | None = None
    refresh_idle: int | None = None
    refresh_absolute: int | None = None


class Rotation(Wish):
    """`at_once`: for a leaked key; else the new keys sign once every cache has them."""

    at_once: bool = False


class NewProject(Wish):
    """Without `scope` it is what whoever asks for nothing in particular is given."""

    name: str = Field(max_length=200)
    scope: str | None = Field(None, max_length=200)
    allowance_sats: int = 100
    session_sats: int = 50
    max_calls_per_minute: int = 60
    bits_floor: int = 18
    bits_ceiling: int = 20


class ProjectChange(Wish):
    """What is left out stays."""

    name: str | None = Field(None, max_length=200)
    scope: str | None = Field(None, max_length=200)
    allowance_sats: int | None = None
    session_sats: int | None = None
    max_calls_per_minute: int | None = None
    bits_floor: int | None = None
    bits_ceiling: int | None = None
    paused: bool | None = None


class NewBudget(Wish):
    """`calls` a minute; null: no limit."""

    allowance_sats: int = Field(ge=0, le=2_100_000_000_000_000)
    max_calls_per_minute: int | None = Field(None, ge=1, le=1_000_000)
