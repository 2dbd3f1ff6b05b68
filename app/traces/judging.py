"""The verdicts on registration, pushed requests, authorization, sign-in, consent and tokens (RFC 6749 §4.1, RFC 7591 §3.2); pure."""

from __future__ import annotations

from datetime import datetime

from app.protocol.client_document import is_url
from app.protocol.client_metadata import DEVICE_CODE, PROVEN, TOKEN_EXCHANGE
from app.protocol.scope import IDENTITY
from app.traces import devices, documents
from app.traces.attempts import GAP, Attempt
from app.traces.machines import cure
from app.traces.signing_in import again
from app.traces.states import ADD_AGAIN, CONNECTED, FAILED, PATIENCE, Verdict, abandoned, turned_away, waiting
from app.traces.step import Step


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
    return turned_away(step) or Verdict(
        FAILED,
        f"The registration was refused: {why}.",
        "This is for the maker of the client to mend. You can register it by hand: gatehouse client add.",
    )


def management(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    """RFC 7592: only DELETE, and what was refused, come here."""
    if step.well:
        return abandoned("The client deleted its own registration.", "It has to register anew when it is wanted again.")
    return turned_away(step) or Verdict(
        FAILED,
        f"The client may not change its registration: {step.description or step.error}.",
        "It lost its registration_access_token, or the client was removed here. If it cannot connect either: "
        + ADD_AGAIN,
    )


def pushed(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if not step.well:
        return documents.unproven(step) if documents.is_unproven(step) else _refused(step)
    return waiting(attempt, now) or abandoned(
        f"{step.client_name or 'The client'} pushed its request to /par and never opened the sign-in page with it.",
        "It should have opened a browser within 90 seconds: was a pop-up blocked, or does it run where there is none?",
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
    document = documents.refused(step)
    if document is not None:
        return document
    if step.fact("fault") == "unknown_client":
        app = step.fact("app") or step.client_name
        return Verdict(
            FAILED,
            f"{app or 'The client'} came with the client id {step.client_id}, which is not registered here (any more).",
            f"Its user was shown what to do in {app or 'the app'}: {step.fact('reset') or ADD_AGAIN}",
        )
    if step.fact("fault") == "redirect_uri":
        return _elsewhere(step, name)
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
    return turned_away(step) or Verdict(FAILED, f"The authorization request was refused: {said}.", again(step))


def _elsewhere(step: Step, name: str) -> Verdict:
    wanted, known = step.fact("redirect") or "no address", step.fact("registered").replace(" ", " or ")
    if is_url(step.client_id or ""):
        said = f"{name} wants to be answered at {wanted}, but its document lists {known}."
        return Verdict(
            FAILED, said, "Only what the document lists is answered: its maker has to add that address to it."
        )
    said = f"{name} wants to be answered at {wanted}, but registered {known}."
    cure = f"Only what was registered is answered, byte for byte but for the port on loopback. {ADD_AGAIN}"
    return Verdict(FAILED, said, cure)


def consent(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    if step.error == "access_denied" and step.fact("decision") == "deny":
        return Verdict(FAILED, "The person pressed Deny.", "Connect once more in the client, and press Allow.")
    if not step.well:
        return turned_away(step) or Verdict(FAILED, f"The consent was refused: {step.description}.", again(step))
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
    if documents.is_unproven(step):
        return documents.unproven(step)
    if step.fact("grant_type") == DEVICE_CODE:
        device = devices.polled(attempt, step, now)
        if device is not None:
            return device
    if step.fact("grant_type") == TOKEN_EXCHANGE:
        return turned_away(step) or Verdict(FAILED, f"A token was not exchanged: {why}.", _about_exchange(why))
    if (what_to_do := cure(step, why)) is not None:
        return Verdict(FAILED, f"No token: {why}.", what_to_do)
    if "refresh token" in why:
        return _refresh_refused(why)
    if "API key" in why:
        return Verdict(FAILED, f"No token: {why}.", "Make a new one: gatehouse api-key add, or at /account.")
    if step.error == "invalid_grant":
        return Verdict(FAILED, f"The code was not accepted: {why}.", _about_code(why))
    return turned_away(step) or Verdict(FAILED, f"No token: {why}.", "This is for the maker of the client to mend.")


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


def _about_exchange(why: str) -> str:
    if "API key" in why:
        return "Make a new one: gatehouse api-key add, or at /account."
    if "revoked" in why or "expired" in why:
        return "Exchange a token that is still good; a token that came of another ends with it."
    if "did not register for this grant" in why:
        return f"The client has to name {TOKEN_EXCHANGE} in the grant_types that it registers."
    return "docs/openid-and-token-exchange.md says who may exchange which token for what."


def _issued(attempt: Attempt, step: Step, now: datetime) -> Verdict:
    name = step.client_name or "The client"
    if step.fact("grant_type") == "refresh_token":
        return Verdict(CONNECTED, f"{name} refreshed its token; its further calls are not recorded.", None)
    if step.fact("grant_type") in PROVEN:  # of its calls, the first in some hours is recorded
        return Verdict(
            CONNECTED, f"{name} was given a token, as it may be each hour, by the proof that it brought.", None
        )
    if step.fact("grant_type") == "api_key":
        return Verdict(CONNECTED, "An API key was traded for a token.", None)
    if step.fact("grant_type") == TOKEN_EXCHANGE:
        return Verdict(CONNECTED, f"A token was exchanged for another, with scope {step.fact('scope')}.", None)
    if step.fact("scope") and IDENTITY.keys() >= set(step.fact("scope").split()):
        said = f"{name} signed {step.fact('account') or 'somebody'} in (OpenID Connect); it did not ask for any tools."
        return Verdict(CONNECTED, said, None)
    return waiting(attempt, now) or Verdict(
        FAILED,
        f"{name} was given a token, and no call of /mcp came within {PATIENCE.seconds} s.",
        "Something in front of this server may keep its calls away: at Cloudflare switch off Security → Bots → Block AI "
        "bots (a rule that skips it does not help), let the client's addresses through your firewall, and let POST /mcp "
        "pass without a redirect. Then try again in the client.",
    )
