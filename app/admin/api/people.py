"""The JSON of accounts and invitations, as served and as described."""

from __future__ import annotations

from datetime import datetime

from app.admin.api.models import Told


class User(Told):
    id: str
    email: str
    name: str
    is_admin: bool
    created_at: datetime
    disabled_at: datetime | None = None


class Browser(Told):
    id: str
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime


class UserDetail(User):
    """With what hangs from the account; `connections` and `api_keys` are counted as far as 1,000."""

    connections: int
    api_keys: int
    factors: list[str]
    browsers: list[Browser]


class Invitation(Told):
    """`mailed`: its link went to the address. `invited_by` is absent where the operator did it."""

    id: str
    email: str
    is_admin: bool
    mailed: bool
    invited_by: str | None = None
    created_at: datetime
    expires_at: datetime


class MadeInvitation(Invitation):
    """`link` is there where no letter brings it; it is never shown again."""

    link: str | None = None


class PasswordLink(Told):
    """Works once, for a day, and is never shown again."""

    password_link: str


class AddedUser(User, PasswordLink):
    pass
