"""CORS, for clients that are pages in a browser (Fetch standard §3.2; the MCP Inspector). --origin says which page."""

from __future__ import annotations

from app.checkup.answer import Answer
from app.checkup.findings import Finding, failed, passed, shown, skipped, warned
from app.checkup.visit import Visit

NO_CREDENTIALS = "Answer OPTIONS before asking for a token: a preflight never carries one."


def cors_of_resource(visit: Visit) -> Finding:
    return _preflight(visit, visit.main("preflight resource"), "mcp-protocol-version")


def cors_of_server(visit: Visit) -> Finding:
    return _preflight(visit, visit.main("preflight server metadata"), "mcp-protocol-version")


def cors_of_register(visit: Visit) -> Finding:
    return _preflight(visit, visit.main("preflight register"), "content-type")


def cors_of_token(visit: Visit) -> Finding:
    return _preflight(visit, visit.main("preflight token"), "content-type")


def cors_of_mcp(visit: Visit) -> Finding:
    """403 is a choice here: the transport has to refuse Origins it does not know."""
    answer = visit.main("preflight mcp")
    if answer.status == 403:
        return warned(
            f"pages of {visit.browser} are refused",
            "Nothing to do, unless such pages are to connect (for Gatehouse: GATEHOUSE_ALLOWED_ORIGINS).",
        )
    return _preflight(visit, answer, "authorization, content-type, mcp-protocol-version")


def cors_of_challenge(visit: Visit) -> Finding:
    """A page reads WWW-Authenticate only if it is exposed; without it, it cannot know where to sign in."""
    answer = visit.other("post in browser")
    if answer.status == 403:
        return skipped(f"pages of {visit.browser} are refused")
    if answer.status != 401:
        return skipped(f"POST with an Origin answers {answer.status}")
    if not _allows_origin(visit, answer):
        return failed("the 401 has no Access-Control-Allow-Origin", "Send CORS headers with refusals too.")
    exposed = _words(answer, "access-control-expose-headers")
    if "www-authenticate" not in exposed and "*" not in exposed:
        return failed("WWW-Authenticate is not exposed", "Send Access-Control-Expose-Headers: WWW-Authenticate.")
    return passed("WWW-Authenticate is exposed")


def _preflight(visit: Visit, answer: Answer, headers: str) -> Finding:
    if answer.status in (401, 407):
        return failed(f"OPTIONS {answer.url} answers {answer.status}", NO_CREDENTIALS)
    if not 200 <= answer.status < 300:
        return failed(
            f"OPTIONS {answer.url} answers {answer.status}",
            "Answer preflights with 204 and Access-Control-Allow-Origin.",
        )
    if not _allows_origin(visit, answer):
        value = answer.header("access-control-allow-origin")
        return failed(
            f"Access-Control-Allow-Origin is {shown(value or None)}",
            "Allow any origin (*): nothing here rests on cookies. Let only one of proxy and server send the header.",
        )
    allowed = _words(answer, "access-control-allow-headers")
    missing = [
        name for name in headers.split(", ") if name not in allowed and ("*" not in allowed or name == "authorization")
    ]
    if missing:
        return failed(f"the headers {', '.join(missing)} are not allowed", "Add them to Access-Control-Allow-Headers.")
    return passed("allowed")


def _allows_origin(visit: Visit, answer: Answer) -> bool:
    return answer.header("access-control-allow-origin") in ("*", visit.browser)


def _words(answer: Answer, name: str) -> set[str]:
    return {word.strip().lower() for word in answer.header(name).split(",")}


CHECKS = (cors_of_resource, cors_of_server, cors_of_register, cors_of_token, cors_of_mcp, cors_of_challenge)
