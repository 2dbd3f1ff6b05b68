"""The JSON of the admin API, as served and as described. Times are RFC 3339 in UTC; what is not known is left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Row = TypeVar("Row", bound=BaseModel)


class Told(BaseModel):
    """What is served, read from the frozen values of the rooms below."""

    model_config = ConfigDict(from_attributes=True)


class Listed(Told, Generic[Row]):
    """A page of a list. `after` is the parameter that brings the next; without it this is the last."""

    rows: list[Row]
    after: str | None = None


class Client(Told):
    """Lifetimes are in seconds; `connections` is counted as far as 100. `path` is the client's name in these addresses."""

    client_id: str
    path: str
    kind: Literal["dynamic", "static", "document"]
    client_name: str
    redirect_uris: list[str]
    token_endpoint_auth_method: str
    created_at: datetime
    last_used_at: datetime | None = None
    blocked_at: datetime | None = None
    access_lifetime: int | None = None
    refresh_idle: int | None = None
    refresh_absolute: int | None = None
    connections: int


class ClientSecret(Told):
    """Never shown again."""

    client_id: str
    client_secret: str


class AddedClient(Client):
    client_secret: str | None = None


class Connection(Told):
    id: str
    user_id: str
    email: str
    client_id: str
    client_name: str
    redirect_host: str
    scope: list[str]
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class ApiKey(Told):
    id: str
    user_id: str
    email: str
    name: str
    scope: list[str]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class Ended(Told):
    """How many there were."""

    ended: int


class Step(Told):
    """One request of a client; what is known of it further stands in `facts`."""

    model_config = ConfigDict(extra="allow")
    at: datetime
    request_id: str
    what: str
    method: str
    path: str
    status: int
    words: str
    error: str | None = None
    description: str | None = None
    facts: dict[str, Any] | None = None


class Attempt(Told):
    """A client's try to connect, with the verdict and the next step in words."""

    id: str
    started_at: datetime
    ended_at: datetime
    client_id: str | None = None
    client_name: str | None = None
    program: str | None = None
    account: str | None = None
    connection_id: str | None = None
    addresses: list[str]
    state: str
    verdict: str
    next_step: str | None = None
    steps: list[Step]


class SigningKey(Told):
    kid: str
    algorithm: str
    state: Literal["upcoming", "signing", "verifying", "gone"]
    created_at: datetime
    signs_from: datetime
    verifies_until: datetime | None = None


class Published(Told):
    kids: list[str]


class Event(Told):
    """A line of the audit log. `id` grows with time."""

    id: int
    at: datetime
    event: str
    user_id: str | None = None
    client_id: str | None = None
    address: str | None = None
    detail: dict[str, Any]
    actor: str | None = None
    actor_id: str | None = None
    request_id: str | None = None


class Events(Told):
    """`before` is the parameter that brings the next page; without it this is the last."""

    rows: list[Event]
    before: int | None = None


class Setting(Told):
    """`source`: environment, .env, default, or start for an option. Secrets are masked."""

    setting: str
    value: str
    source: str
    meaning: str


class Settings(Told):
    rows: list[Setting]


class SigningKeys(Told):
    rows: list[SigningKey]


class Check(Told):
    name: str
    well: bool
    said: str


class Task(Told):
    name: str
    title: str
    done: bool
    why: str


class Numbers(Told):
    """Counted as far as 10,000; `calls_today` is absent where calls are not counted."""

    users: int
    admins: int
    apps: int
    connections: int
    api_keys: int
    calls_today: int | None = None


class Overview(Told):
    version: str
    checks: list[Check]
    tasks: list[Task]
    numbers: Numbers
    failed_attempts: int


class Refusal(Told):
    """Every refusal (RFC 6749 §5.2); `request_id` finds it in the log."""

    error: str
    error_description: str
    request_id: str
