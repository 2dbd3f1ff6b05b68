"""The endpoints that the metadata name, asked what cannot succeed (RFC 6749 §4.1.2.1 and §5.2, RFC 7517 §5, RFC 7591 §3.2, RFC 9207 §2)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.checkup.answer import nulls, texts
from app.checkup.findings import Finding, failed, passed, shown, skipped, warned
from app.checkup.pay_a_visit import CALLBACK
from app.checkup.snippets import BOTS
from app.checkup.visit import Visit

PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


def token(visit: Visit) -> Finding:
    """401 invalid_client to an unknown client: on this word deleted clients register anew."""
    answer = visit.main("token")
    document, why = answer.read()
    if document is None:
        topic = BOTS if answer.is_html and answer.status in (403, 429, 503) else ""
        return failed(f"{answer.status}, and the body {why}", "Answer as JSON with an error (RFC 6749 §5.2).", topic)
    said = f"an unknown client is answered {answer.status} {shown(document.get('error'))}"
    if (answer.status, document.get("error")) == (401, "invalid_client"):
        return (
            passed(said)
            if answer.is_json
            else warned(f"{said} as {shown(answer.media_type)}", "Send application/json.")
        )
    return failed(said, "Answer 401 invalid_client: only then do Claude and others register again by themselves.")


def authorize(visit: Visit) -> Finding:
    """An unknown client is never redirected to the address it gave (RFC 6749 §4.1.2.1)."""
    answer = visit.main("authorize")
    if answer.is_redirect and answer.header("location").startswith(CALLBACK):
        return failed(
            "an unknown client is redirected where it wants", "Show a page instead: this is an open redirector."
        )
    if answer.status >= 500:
        return failed(f"an unknown client is answered {answer.status}", "Answer 400 with a page that says why.")
    return passed(f"an unknown client is answered {answer.status}, not redirected to its address")


def register(visit: Visit) -> Finding:
    """RFC 7591 §3.2.1, as typed clients read it."""
    answer = visit.main("register")
    document, why = answer.read()
    if answer.status not in (200, 201) or document is None:
        error = f" {shown(document.get('error'))}" if document else f", and the body {why}"
        return failed(
            f"registration is answered {answer.status}{error}", "Accept a public client with a loopback redirect."
        )
    wrong = _wrong_registration(document)
    if wrong:
        return failed(
            f"the answer {wrong}", "Echo what was registered, without null, and leave out what does not apply."
        )
    gone = visit.answers.get("unregister")
    if gone is not None and gone.status in (200, 204):
        return passed("registered a client, and deleted it again")
    return passed(f"registered the client {shown(document['client_id'])}, which is yours to delete")


def _wrong_registration(document: dict[str, Any]) -> str:
    if not isinstance(document.get("client_id"), str):
        return "has no client_id"
    if nulls(document):
        return f"has null at {', '.join(nulls(document)[:5])}"
    if texts(document, "redirect_uris") != [CALLBACK]:
        return "does not echo redirect_uris"
    if "grant_types" in document and "refresh_token" not in texts(document, "grant_types"):
        return "has grant_types without refresh_token, which ChatGPT rejects"
    if document.get("token_endpoint_auth_method") == "none" and "client_secret" in document:
        return "gives a secret to a client that asked for none"
    return ""


def iss_is_sent(visit: Visit) -> Finding:
    """RFC 9207 §2, in an error response: Codex rejects answers where it is promised and missing."""
    answer = visit.other("authorize registered")
    location = answer.header("location")
    if not answer.is_redirect or not location.startswith(CALLBACK):
        return skipped(f"a request without a challenge is answered {answer.status}, not sent back to the client")
    given = parse_qs(urlsplit(location).query)
    if "code" in given:
        return failed(
            "a code is given without sign-in and without PKCE", "Demand sign-in, consent and a code_challenge."
        )
    if given.get("iss") == [visit.issuer]:
        return passed(f"{shown(given.get('error', ['?'])[0])} came back with iss")
    return failed(
        f"iss is {shown(given.get('iss', [None])[0])}",
        f"Send iss={shown(visit.issuer)} with every response, errors too.",
    )


def keys(visit: Visit) -> Finding:
    """RFC 7517 §5: public keys, and nothing private."""
    if "jwks_uri" not in visit.server():
        return skipped("the metadata name no jwks_uri")
    answer = visit.main("keys")
    found = (answer.document or {}).get("keys")
    if not isinstance(found, list) or not found or not all(isinstance(key, dict) and key.get("kty") for key in found):
        reason = f"answers {answer.status}" if answer.status != 200 else "is no key set"
        return failed(f"{answer.url} {reason}", 'Serve the public keys as {"keys": […]}.')
    if any(name in key for key in found for name in PRIVATE):
        return failed("a PRIVATE key is published", "Take it down and rotate the keys now: everybody can sign tokens.")
    return passed(f"{len(found)} public key{'s' if len(found) > 1 else ''}")


CHECKS = (token, authorize, register, iss_is_sent, keys)
