"""What the browser must do next for a pending authorization: one pure function (OAuth 2.1 §4.1.2, OIDC Core §3.1.2.1 `prompt`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from app.protocol import redirect_uri
from app.protocol.errors import ConsentRequired, InvalidScope, LoginRequired, OAuthError
from app.protocol.pending import Pending
from app.protocol.scope import ADMIN, API_KEYS
from app.protocol.types import Consent, Viewer

RECENT = timedelta(minutes=15)
OVER_ACCOUNTS = frozenset({ADMIN, API_KEYS})  # with these a token does what a session may do only soon after signing in
LOCAL_CONSENT = timedelta(days=30)  # RFC 8252 §8.6: any program here can pose as a local client, so ask again


@dataclass(frozen=True, slots=True)
class Login:
    """Show the sign-in page."""


@dataclass(frozen=True, slots=True)
class AskConsent:
    """Show the consent page."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Everything is there: give the code."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the client."""

    error: OAuthError


Step = Login | AskConsent | Issue | Refuse


def within_reach(pending: Pending, viewer: Viewer | None) -> Pending:
    """Without what this viewer cannot give: only admins have the scope `admin` to give."""
    if viewer is None or viewer.is_admin or ADMIN not in pending.scope:
        return pending
    return replace(pending, scope=tuple(word for word in pending.scope if word != ADMIN))


def is_recent(viewer: Viewer, now: datetime) -> bool:
    """True when whoever sits there has proven lately who they are; else a dangerous act asks them to sign in again first."""
    return now - viewer.authenticated_at < RECENT


def may_give(scope: tuple[str, ...], viewer: Viewer, now: datetime) -> bool:
    """False when this viewer has to sign in again first (RFC 9470 §1). Who is no admin does not give the scope `admin`."""
    dangerous = OVER_ACCOUNTS.intersection(scope) - (set() if viewer.is_admin else {ADMIN})
    return not dangerous or is_recent(viewer, now)


def next_step(pending: Pending, viewer: Viewer | None, consent: Consent | None, now: datetime) -> Step:
    """The next step for this request, this viewer and what the viewer allowed before."""
    silent = "none" in pending.prompt
    if viewer is None or _must_sign_in_again(pending, viewer, now):
        return Refuse(LoginRequired("nobody is signed in")) if silent else Login()
    if not pending.scope:
        return Refuse(InvalidScope("the user has none of these scopes to give"))
    if pending.approved_by == viewer.session_id:
        return Issue()
    if "consent" in pending.prompt or "select_account" in pending.prompt or not _covered(pending, consent, now):
        return Refuse(ConsentRequired("the user has not allowed this")) if silent else AskConsent()
    return Issue()


def _must_sign_in_again(pending: Pending, viewer: Viewer, now: datetime) -> bool:
    started = datetime.fromtimestamp(pending.started_at, UTC)
    if not may_give(pending.scope, viewer, now):
        return True
    if "login" in pending.prompt and viewer.authenticated_at < started:
        return True
    return pending.max_age is not None and min(now, started) - viewer.authenticated_at > timedelta(
        seconds=pending.max_age
    )


def _covered(pending: Pending, consent: Consent | None, now: datetime) -> bool:
    if consent is None or not consent.scope.issuperset(pending.scope):
        return False
    return not redirect_uri.is_local(pending.redirect_uri) or now - consent.given_at < LOCAL_CONSENT
