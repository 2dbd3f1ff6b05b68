"""The verdicts on registration, authorization, sign-in, consent and tokens (RFC 6749 §4.1, RFC 7591 §3.2); pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.traces.attempts import GAP, Attempt
from app.traces.step import Step

CONNECTED, FAILED, ABANDONED, IN_PROGRESS = "connected", "failed", "abandoned", "in progress"
PATIENCE = timedelta(seconds=60)  # what a program does next, it does within this
ADD_AGAIN = "Remove the server (or connector) in the client and add it again, so that it registers anew."


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state` is one of the four words above; `next_step` is what the operator can do, None when there is nothing to do."""

    state: str
    sentence: str
    next_step: str | None


def abandoned(sentence: str, next_step: str) -> Verdict:
    return Verdict(ABANDONED, sentence, next_step)


def waiting(
    attempt: Attempt, now: datetime, patience: timedelta = PATIENCE, whom: str = "the client"
) -> Verdict | None:
    """In progress, while it is too early to say more."""
    if now - attempt.ended_at > patience:
        return None
    return Verdict(IN_PROGRESS, f"It is the turn of {whom}.", None)


def server_fault(step: Step) -> Verdict:
    return Verdict(
        FAILED,
        f"The server could not answer ({step.status}): {step.description or 'something went wrong here'}.",
        f"Look for {step.request_id} in the log, and ask `gatehouse doctor` about the database.",
    )


def _too_many(step: Step) -> Verdict | None:
    if step.status >= 500:
        return server_fault(step)
    if step.status != 429:
        return None
    return Verdict(
        FAILED,
        f"Too many requests came from {step.address}, so {step.path} refused this one.",
        "Wait a minute. If everybody seems to come from that address it is your proxy's: set GATEHOUSE_TRUSTED_PROXIES. "
        "For registrations there is GATEHOUSE_REGISTER_PER_MINUTE.",
    )


def registration(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.well:
        return waiting(attempt, now) or abandoned(
            f"{step.client_name or 'The client'} registered and never opened the sign-in page.",
            "It should have opened a browser: was a pop-up blocked, does the client run where there is no browser, or did "
            "it want something else in the registration's answer? Try to connect once more and look at the client's log.",
        )
    why = step.description or step.error or "it was not well-formed"
    if step.error == "client_limit_exceeded":
        return Verdict(
            FAILED,
            "The registration was refused: too many earlier ones were never used.",
            "They go by themselves within a day; raise GATEHOUSE_MAX_UNUSED_CLIENTS if you need room now.",
        )
    return _too_many(step) or Verdict(
        FAILED,
        f"The registration was refused: {why}.",
        "This is for the maker of the client to mend. You can register it by hand: gatehouse client add.",
    )


def authorize(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if not step.well:
        return _refused(step)
    if step.fact("next") == "code":
        place = step.fact("redirect_host") or "the client"
        return waiting(attempt, now) or Verdict(
            FAILED,
            f"The person allowed it and the browser was sent to {place} with a code, but the code was never redeemed.",
            f"The client's callback was not reached, or it lost its state: is the program at {place} still running, is "
            "it on the computer with the browser, and can the client's server reach /token?",
        )
    page = "consent" if step.fact("next") == "consent" else "sign-in"
    return waiting(attempt, now) or abandoned(
        f"The browser was sent to the {page} page and never opened it.",
        "A client may do that without a browser, to see whether it is known. Else: was the window closed?",
    )


def _refused(step: Step) -> Verdict:
    name = step.client_name or step.client_id or "the client"
    if step.fact("fault") == "unknown_client":
        return Verdict(
            FAILED,
            f"The client came with the client id {step.client_id}, which is not registered here (any more).",
            f"{ADD_AGAIN} In Claude Code: /mcp, then clear authentication; in mcp-remote: delete ~/.mcp-auth.",
        )
    if step.fact("fault") == "redirect_uri":
        return Verdict(
            FAILED,
            f"{name} wants to be answered at {step.fact('redirect') or 'no address'}, but registered {step.fact('registered')}.",
            f"Only what was registered is answered, byte for byte but for the port on loopback. {ADD_AGAIN}",
        )
    said = step.description or step.error or "it is not well-formed"
    if "code_challenge" in said:
        return Verdict(
            FAILED,
            f"{name} came without usable PKCE: {said}.",
            "PKCE with S256 is asked of every client (OAuth 2.1 §7.5). Update the client; it cannot be switched off here.",
        )
    if step.error in ("login_required", "consent_required"):
        return Verdict(
            FAILED,
            f"{name} asked with prompt=none, so without a page, and {said}.",
            "It should ask again with pages. Connect once more in the client.",
        )
    if step.error == "invalid_target":
        return Verdict(
            FAILED,
            f"{name} asked for a token for {step.fact('resource')}, which is not served here.",
            "Is the address in the client that of GATEHOUSE_PUBLIC_URL with /mcp behind it, byte for byte?",
        )
    return _too_many(step) or Verdict(FAILED, f"The authorization request was refused: {said}.", _again(step))


def _again(step: Step) -> str:
    if step.path != "/authorize":
        return "Start again from the app; the sign-in is good for half an hour, in one browser."
    return "This is for the maker of the client to mend; try a newer version of it."


MISTYPED = {"wrong_password", "wrong_code", "passkey_refused"}  # and tried again on the same page


def sign_in(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    wrong = sum(1 for s in attempt.steps if s.what == "sign-in" and s.error == "wrong_password")
    if step.status == 429 and wrong:
        return Verdict(
            FAILED,
            f"Too many wrong passwords ({wrong}).",
            "Wait five minutes, or run: gatehouse user reset-password E-MAIL",
        )
    if step.facts.get("signed_in"):
        return waiting(attempt, now) or abandoned(
            "The person signed in and did not go on.", "Was the browser closed? Connect once more in the client."
        )
    if step.path == "/login/second" and step.status in (200, 400):
        return waiting(attempt, now, GAP, "the person at the second step") or abandoned(
            "The password was right, and the second step was not taken.",
            "Has the person lost their phone, and the recovery codes too? Run: gatehouse user reset-factors E-MAIL",
        )
    if not step.well and step.error not in MISTYPED:
        return _too_many(step) or Verdict(FAILED, f"The sign-in was refused: {step.description}.", _again(step))
    times = f"{wrong} time{'s' if wrong > 1 else ''}"
    tried = f"a wrong e-mail or password was given {times}" if wrong else "nobody signed in"
    return waiting(attempt, now, GAP, "the person at the sign-in page") or abandoned(
        f"The sign-in page was shown, and {tried}.",
        "Have they an account (gatehouse user list)? A new password: gatehouse user reset-password E-MAIL",
    )


def consent(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.error == "access_denied" and step.fact("decision") == "deny":
        return Verdict(FAILED, "The person pressed Deny.", "Connect once more in the client, and press Allow.")
    if not step.well:
        return _too_many(step) or Verdict(FAILED, f"The consent was refused: {step.description}.", _again(step))
    if step.fact("decision") == "allow":
        return waiting(attempt, now) or abandoned(
            "The person pressed Allow and the browser did not go on.", "Connect once more in the client."
        )
    return waiting(attempt, now, GAP, "the person at the consent page") or abandoned(
        "The consent page was shown, and neither Allow nor Deny was pressed.", "Connect once more in the client."
    )


def token(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.well:
        return _issued(attempt, step, now)
    why = step.fact("why") or step.description or step.error or "the request is not well-formed"
    if step.error == "invalid_client":
        return Verdict(
            FAILED,
            f"No token: {why} (client id {step.client_id or 'missing'}, authentication {step.fact('client_auth') or 'missing'}).",
            f"The client was removed here, or its secret is another. {ADD_AGAIN}",
        )
    if "refresh token" in why:
        return _refresh_refused(why)
    if "API key" in why:
        return Verdict(FAILED, f"No token: {why}.", "Make a new one: gatehouse api-key add, or at /account.")
    if step.error == "invalid_grant":
        return Verdict(FAILED, f"The code was not accepted: {why}.", _about_code(why))
    return _too_many(step) or Verdict(FAILED, f"No token: {why}.", "This is for the maker of the client to mend.")


def _refresh_refused(why: str) -> Verdict:
    if "used before" in why:
        return Verdict(
            FAILED,
            "An old refresh token came a second time, so the connection was ended: it may have been stolen.",
            "If two programs share one sign-in (a copied configuration), give each its own. Sign in again in the client.",
        )
    return Verdict(
        FAILED, f"No token: {why}.", "The connection ended or was unused for too long: sign in again in the client."
    )


def _about_code(why: str) -> str:
    if "used before" in why:
        return "A client redeems a code once; what the first time gave is taken back. Connect once more in the client."
    if "expired" in why:
        return "The client took too long between the browser and /token. Are the clocks right? GATEHOUSE_CODE_LIFETIME is in seconds."
    if "verifier" in why:
        return "Two sign-ins of one client got mixed up, or it lost the verifier. Close its other windows and connect once more."
    return "Connect once more in the client; if it stays so, it is for its maker to mend."


def _issued(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    name = step.client_name or "The client"
    if step.fact("grant_type") == "refresh_token":
        return Verdict(CONNECTED, f"{name} refreshed its token; its further calls are not recorded.", None)
    if step.fact("grant_type") == "api_key":
        return Verdict(CONNECTED, "An API key was traded for a token.", None)
    return waiting(attempt, now) or Verdict(
        FAILED,
        f"{name} was given a token, and no call of /mcp came within {PATIENCE.seconds} s.",
        "Something in front of this server may keep its calls away: at Cloudflare switch off Security → Bots → Block AI "
        "bots (a rule that skips it does not help), let the client's addresses through your firewall, and let POST /mcp "
        "pass without a redirect. Then try again in the client.",
    )
