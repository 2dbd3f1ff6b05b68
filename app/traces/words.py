"""What a step was, in a few plain words for its line in the timeline; pure."""

from __future__ import annotations

from collections.abc import Callable

from app.traces.step import WELL_KNOWN, Step

DOCUMENTS = {
    "oauth-protected-resource": "metadata of the protected resource",
    "oauth-authorization-server": "metadata of the authorization server",
    "openid-configuration": "OpenID configuration",
}


def words(step: Step) -> str:
    """One line, without a full stop. What was refused says why, in the words that were sent or in those for the operator."""
    say = SAY.get(step.what, _other)
    if step.well:
        return say(step)
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
        "token": f"no token for {step.fact('grant_type') or 'this request'}",
        "revoke": "revocation refused",
        "discovery": f"asked for {_document(step)}",
    }.get(step.what, f"{step.method} {step.path} refused")


def _document(step: Step) -> str:
    name = step.path.removeprefix(WELL_KNOWN).split("/")[0]
    return DOCUMENTS.get(name, step.path)


def _discovery(step: Step) -> str:
    return f"fetched the {_document(step)}"


def _registration(step: Step) -> str:
    return f"registered as {step.client_name} ({step.client_id}), to be answered at {step.fact('redirects')}"


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
    return f"token issued for {step.fact('grant_type')}" + (f" (scope: {scope})" if scope else "")


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
}
