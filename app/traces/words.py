"""What a step was, in a few plain words for its line in the timeline; pure, but for the log."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from app.protocol.client_metadata import DEVICE_CODE, TOKEN_EXCHANGE
from app.traces import documents
from app.traces.step import WELL_KNOWN, Step

DOCUMENTS = {
    "oauth-protected-resource": "metadata of the protected resource",
    "oauth-authorization-server": "metadata of the authorization server",
    "openid-configuration": "OpenID configuration",
}
GRANTS = {  # as people say it
    "authorization_code": "for a code",
    "refresh_token": "for a refresh token",
    "api_key": "for an API key",
    "client_credentials": "for the client itself",
    DEVICE_CODE: "for a device's code",
    TOKEN_EXCHANGE: "in exchange for another",
}
log = structlog.get_logger("gatehouse.traces")


def words(step: Step) -> str:
    """One line, without a full stop. What was refused says why, in the words that were sent or in those for the operator.

    Never raises: it is about what strangers said, and in a list with others.
    """
    try:
        return _words(step)
    except Exception as fault:
        log.error("step not put into words", step=step.request_id, exc_info=fault)
        return f"{step.method} {step.path}, answered {step.status}"


def _words(step: Step) -> str:
    said = _said(step)
    if step.fact("document") in documents.COPIES:
        return f"{said}. {documents.copy_used(step)}"
    if step.fact("document_changed"):
        return f"{said}. The client's document has changed: who allowed it is asked again"
    return said


def _said(step: Step) -> str:
    say = SAY.get(step.what, _other)
    if step.well:
        return say(step)
    if step.not_yet:
        return NOT_YET[step.error or ""]
    if step.tokenless:
        return _tried(step)
    why = step.fact("why") or step.description or ""
    error = f"{step.error}: {why}" if step.error and why else step.error or why or "no reason given"
    return f"{_tried(step)}: {error}"


def _tried(step: Step) -> str:
    if step.tokenless:
        return "called /mcp without a token, as every client does first"
    return {
        "mcp": "call of /mcp refused",
        "registration": "registration refused",
        "authorize": "authorization request refused",
        "sign-in": "sign-in refused",
        "consent": "consent not given",
        "token": f"no token {_grant(step)}",
        "pushed": "pushed request refused",
        "device": "no code for the device",
        "device page": "page for the device's code refused",
        "device decision": "decision about the device refused",
        "userinfo": "nothing told about the user",
        "management": "change of the registration refused",
        "revoke": "revocation refused",
        "discovery": f"asked for {_document(step)}",
    }.get(step.what, f"{step.method} {step.path} refused")


def _grant(step: Step) -> str:
    asked = step.fact("grant_type")
    return GRANTS.get(asked) or f"for {asked or 'this request'}"


def _document(step: Step) -> str:
    name = step.path.removeprefix(WELL_KNOWN).split("/")[0]
    return DOCUMENTS.get(name, step.path)


def _discovery(step: Step) -> str:
    return f"fetched the {_document(step)}"


def _registration(step: Step) -> str:
    answered = f", to be answered at {step.fact('redirects')}" if step.fact("redirects") else ""
    return f"registered as {step.client_name} ({step.client_id}){answered}"


def _authorize(step: Step) -> str:
    following = {
        "sign-in": "sent to the sign-in page",
        "consent": "sent to the consent page",
        "code": f"code given, browser sent to {step.fact('redirect_host')}",
    }
    scope = step.fact("scope")
    return following.get(step.fact("next"), "authorization request") + (f" (scope: {scope})" if scope else "")


def _sign_in(step: Step) -> str:
    if step.facts.get("signed_in"):
        return "signed in"
    if step.fact("next") == "second step":
        return "password right, sent to the second step"
    return "second step asked" if step.path == "/login/second" else "sign-in page shown"


def _consent(step: Step) -> str:
    return "allowed" if step.fact("decision") == "allow" else "consent page shown"


def _token(step: Step) -> str:
    scope = step.fact("scope")
    return f"token issued {_grant(step)}" + (f" (scope: {scope})" if scope else "")


def _pushed(step: Step) -> str:
    scope = step.fact("scope")
    return "pushed its request ahead" + (f" (scope: {scope})" if scope else "")


def _device(step: Step) -> str:
    return f"a device was given a code to show (scope: {step.fact('scope')})"


def _device_page(step: Step) -> str:
    if step.fact("entered"):
        return "the device's code entered, consent page shown"
    return "sent to the sign-in page" if step.status == 303 else "page for the device's code shown"


def _device_decision(step: Step) -> str:
    return {"allow": "device allowed", "deny": "device denied"}.get(step.fact("decision"), "sent to the sign-in page")


def _userinfo(step: Step) -> str:
    return "told who the user is"


def _management(step: Step) -> str:
    return "deleted its registration" if step.method == "DELETE" else "changed its registration"


def _mcp(step: Step) -> str:
    program = step.fact("program")
    return f"{step.fact('rpc_method') or 'call'} let in" + (f", from {program}" if program else "")


def _revoke(step: Step) -> str:
    return "the client gave its token back"


def _other(step: Step) -> str:
    return f"{step.method} {step.path}"


SAY: dict[str, Callable[[Step], str]] = {
    "discovery": _discovery,
    "registration": _registration,
    "authorize": _authorize,
    "sign-in": _sign_in,
    "consent": _consent,
    "token": _token,
    "mcp": _mcp,
    "revoke": _revoke,
    "pushed": _pushed,
    "device": _device,
    "device page": _device_page,
    "device decision": _device_decision,
    "userinfo": _userinfo,
    "management": _management,
}
NOT_YET = {
    "authorization_pending": "the device asked for its token, and was told to wait for its user (it asks on; once is kept)",
    "slow_down": "the device asked too often, and was told to wait longer",
}
