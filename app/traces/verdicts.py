"""What became of an attempt to connect, in plain words, and what to do next; pure, but for the log. /mcp and discovery here,
the rest in `judging`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from app.traces import devices, documents, judging, signing_in
from app.traces.attempts import Attempt
from app.traces.states import CONNECTED, FAILED, PATIENCE, Verdict, abandoned, server_fault, turned_away, waiting
from app.traces.step import BROWSER, Step

LOOP = 3  # refusals of one kind that are no accident
EXPIRED, REVOKED = "expired", "revoked"
log = structlog.get_logger("gatehouse.traces")


def verdict(attempt: Attempt, now: datetime) -> Verdict:
    """The verdict on what has happened until `now`. Never raises: it is about what strangers said, and in a list with others."""
    try:
        return _judged(attempt, now)
    except Exception as fault:
        log.error("attempt not judged", attempt=attempt.id, exc_info=fault)
        return Verdict(
            FAILED,
            "What became of this attempt cannot be told: Gatehouse did not understand its own notes of it.",
            f"That is a fault of Gatehouse: report it, with the lines about {attempt.id} in the log.",
        )


def _judged(attempt: Attempt, now: datetime) -> Verdict:
    step = _decisive(attempt)
    if step is None:
        return _only_looked(attempt, now)
    if step.fact("fault") == "blocked":
        name = step.client_name or step.client_id
        return Verdict(
            FAILED, f"{name} is blocked by an admin of this server.", "To let it in: /admin/clients, Unblock."
        )
    return documents.with_copy(attempt, JUDGES[step.what](attempt, step, now))


def _decisive(attempt: Attempt) -> Step | None:
    """The last step that says something. A page of the browser does not once its code is redeemed."""
    redeemed = {link for step in attempt.steps if step.issued for link in step.links}
    redeemed |= {link for step in attempt.steps if redeemed.intersection(step.links) for link in step.links}
    first_issue = min(((step.at, step.id) for step in attempt.steps if step.issued), default=None)
    for step in reversed(attempt.steps):
        if step.what not in JUDGES or (step.what in BROWSER and redeemed.intersection(step.links)):
            continue
        if step.tokenless and (first_issue is None or first_issue >= (step.at, step.id)):
            continue
        if step.what == "management" and step.well and step.method != "DELETE":
            continue
        return step
    return None


def _only_looked(attempt: Attempt, now: datetime) -> Verdict:
    fetched = {step.path.split("/")[2] for step in attempt.steps if step.what == "discovery" and step.well}
    if any(step.what == "revoke" for step in attempt.steps):
        return Verdict(
            "abandoned", "The client gave its token back: it was signed out there.", "Connect again when it is wanted."
        )
    if not any(step.what == "discovery" for step in attempt.steps):
        return waiting(attempt, now) or abandoned(
            "/mcp was called without a token and told where to look; nothing was fetched after that.",
            "A browser or a scanner does no more than that. If it was a real client: does it support OAuth, and does "
            "your proxy pass /.well-known/… and the WWW-Authenticate header on? `gatehouse doctor URL` looks from outside.",
        )
    if "oauth-authorization-server" not in fetched and "openid-configuration" not in fetched:
        return waiting(attempt, now) or abandoned(
            "The client read the metadata of the protected resource and never that of the authorization server.",
            "It may not be able to reach it: does your proxy or firewall pass /.well-known/oauth-authorization-server?",
        )
    return waiting(attempt, now) or abandoned(
        "The client read the metadata and never registered, nor came to sign in under a client id that it had.",
        "It may have gone on from another address: look for a later attempt. Else: does your firewall pass POST "
        "/register, and does the client want to be registered by hand (gatehouse client add)?",
    )


def _mcp(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.well:
        return Verdict(CONNECTED, _connected(step, 0), None)
    if step.error in MCP:
        return MCP[step.error](attempt, step, now)
    if step.status == 503:
        return server_fault(step)
    said = step.description or step.error or "it does not understand the request"
    again = "Compare the protocol version and the headers that it sent; the request id finds the line in the log."
    if _let_in(attempt):
        return Verdict(CONNECTED, f"Connected; one call was answered with {step.status}: {said}.", again)
    return Verdict(FAILED, f"The token is good, but the call was answered with {step.status}: {said}.", again)


def _let_in(attempt: Attempt) -> bool:
    return any(step.what == "mcp" and step.well for step in attempt.steps)


def _connected(step: Step, refused: int) -> str:
    who = step.fact("account") or step.user_id or "somebody"
    name = step.client_name or step.fact("program") or step.client_id or "The client"
    scope = step.fact("scope") or step.fact("held")
    more = f", but {refused} of its calls needed a scope that it does not have" if refused else ""
    return f"{name} is connected in the name of {who}, with scope {scope or 'none'}{more}."


def _stranger(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.status == 421:
        host = step.fact("host")
        return Verdict(
            FAILED,
            f"{step.path} was called as {host or 'no host at all'}, which is not the host of GATEHOUSE_PUBLIC_URL.",
            f"Let your proxy pass the Host header on unchanged, or add {host or 'the host'} to GATEHOUSE_ALLOWED_HOSTS.",
        )
    origin = step.fact("origin")
    return Verdict(
        FAILED,
        f"A page of {origin} called /mcp from a browser, and pages of that origin may not.",
        f"If you trust that page, add {origin} to GATEHOUSE_ALLOWED_ORIGINS.",
    )


def _without_token(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    return Verdict(
        FAILED,
        "A token was issued, yet /mcp was then called without one.",
        "Something between takes the Authorization header away: a proxy that does not pass it on, or a redirect (of "
        "http to https, of one host or path to another), after which clients leave it out. Give the client the exact "
        "address of /mcp.",
    )


def _bad_token(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    said = step.description or "the access token is not valid"
    if EXPIRED in said:
        return _expired(attempt, step, now)
    if REVOKED in said:
        return Verdict(
            FAILED,
            "The token was revoked: the connection was ended by its user, the operator, or the theft of a refresh token.",
            "Sign in again in the client; `gatehouse connection list` shows what is open.",
        )
    if "another resource" in said or "another issuer" in said:
        return Verdict(
            FAILED,
            f"A token came to /mcp that is not for here: {said}.",
            "Is the address in the client that of GATEHOUSE_PUBLIC_URL with /mcp behind it, byte for byte, and was that "
            "setting changed? Remove the server in the client and add it again with the right address.",
        )
    if "API key" in said:
        return Verdict(
            FAILED,
            "The API key is unknown, expired or revoked.",
            "Make a new one: gatehouse api-key add, or at /account.",
        )
    return Verdict(
        FAILED,
        f"/mcp refused the token: {said}.",
        "It was not made here, or with signing keys that are gone. Sign in again in the client. If every client is "
        "refused: do all replicas have the same database and GATEHOUSE_SECRET_KEY?",
    )


def _expired(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    expired = [s for s in attempt.steps if s.what == "mcp" and EXPIRED in (s.description or "")]
    if len(expired) < LOOP or expired[-1].at - expired[0].at < PATIENCE:
        return Verdict(
            CONNECTED,
            "The access token expired; the client is expected to refresh it, which is not recorded every time.",
            "Nothing, unless the client complains: then sign in again in it.",
        )
    return Verdict(
        FAILED,
        f"The client goes on sending an expired access token ({len(expired)} times) and does not refresh it.",
        "Sign in again in the client, or update it: it does not use its refresh token.",
    )


def _scope(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    refused = [s for s in attempt.steps if s.error == "insufficient_scope" and s.what == "mcp"]
    needed, held = step.fact("needed"), step.fact("held")
    if len(refused) < LOOP and _let_in(attempt):
        return Verdict(CONNECTED, _connected(step, len(refused)), f"For those, sign in again and allow: {needed}.")
    again = "again and again" if len(refused) >= LOOP else "and was refused"
    return Verdict(
        FAILED,
        f"The client has a token with scope {held or 'none'} and calls {again} what needs {needed}.",
        f"It does not ask for more when it is told to. Remove the server in the client, add it again, and allow {needed}; "
        "if it was registered with a narrower scope, register it anew.",
    )


def _userinfo(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    """OIDC Core §5.3."""
    name = step.client_name or step.client_id or "The client"
    if step.well:
        said = f"{name} was told at /userinfo who {step.fact('account') or step.user_id} is (OpenID Connect)."
        return Verdict(CONNECTED, said, None)
    if step.error == "insufficient_scope":
        said = f"{name} asked /userinfo who its user is, with a token that was given without the scope openid."
        return Verdict(CONNECTED if _let_in(attempt) else FAILED, said, "It has to ask for openid when it signs in.")
    said = f"/userinfo refused the token: {step.description or step.error}."
    return turned_away(step) or Verdict(FAILED, said, "Sign in again in the client.")


MCP: dict[str, Callable[[Attempt, Step, datetime], Verdict]] = {
    "stranger": _stranger,
    "unauthorized": _without_token,
    "invalid_token": _bad_token,
    "insufficient_scope": _scope,
}
JUDGES: dict[str, Callable[[Attempt, Step, datetime], Verdict]] = {
    "mcp": _mcp,
    "token": judging.token,
    "registration": judging.registration,
    "authorize": judging.authorize,
    "sign-in": signing_in.sign_in,
    "consent": judging.consent,
    "pushed": judging.pushed,
    "management": judging.management,
    "device": devices.asked,
    "device page": devices.page,
    "device decision": devices.decided,
    "userinfo": _userinfo,
}
