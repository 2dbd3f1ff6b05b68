"""The protected resource metadata and what they say (RFC 9728 §2, §3; MCP "Authorization Server Location")."""

from __future__ import annotations

from app.checkup.answer import Answer, texts
from app.checkup.findings import Finding, failed, passed, shown, skipped, warned
from app.checkup.snippets import PATH_FORM, WELL_KNOWN
from app.checkup.target import is_web
from app.checkup.visit import Visit


def document_at_path(visit: Visit) -> Finding:
    """RFC 9728 §3.1: between host and path. Clients look here first, also those that ignore the header."""
    answer = visit.main("resource at path")
    if answer.document is not None:
        return passed(answer.url)
    root = visit.answers.get("resource at root")
    if root is not None and root.document is not None:
        return failed(
            f"{_why(answer)}, the one at the root answers",
            "Serve the same document with the path of the resource too.",
            PATH_FORM,
        )
    return failed(
        _why(answer), "Serve the RFC 9728 document here, and let the proxy forward /.well-known/.", WELL_KNOWN
    )


def document_at_root(visit: Visit) -> Finding:
    """Older clients, and those that take the origin for the resource."""
    if visit.target.path == "/":
        return skipped("the server is at the root")
    answer, path = visit.main("resource at root"), visit.other("resource at path")
    if answer.document is None:
        return warned(_why(answer), "Serve the same document here: some clients look nowhere else.", WELL_KNOWN)
    if path.document is not None and answer.document != path.document:
        return warned(
            "it differs from the one with the path",
            "Serve the same document at both, unless the origin has several resources.",
        )
    return passed(answer.url)


def document_of_header(visit: Visit) -> Finding:
    """What the challenge names is there."""
    answer = visit.main("resource of header")
    if answer.document is None:
        return failed(_why(answer), "Let resource_metadata name the address where the document really is.", WELL_KNOWN)
    return passed(answer.url)


def resource(visit: Visit) -> Finding:
    """RFC 9728 §3.3: identical to the address it was found for; otherwise sign-in succeeds and the token is never used."""
    value, url = visit.resource().get("resource"), visit.target.url
    if value == url or (visit.target.path == "/" and value == url.rstrip("/")):
        return passed(str(value))
    cure = f"Let resource be {url}, character by character."
    if isinstance(value, str) and value.rstrip("/") == url:
        cure += " A resource has no slash at its end (MCP, Canonical Server URI)."
    return failed(f"resource is {shown(value)}", cure)


def authorization_servers(visit: Visit) -> Finding:
    """Somebody to go to."""
    value = visit.resource().get("authorization_servers")
    named = texts(visit.resource(), "authorization_servers")
    if not named or not isinstance(value, list) or len(named) != len(value) or not all(map(is_web, named)):
        return failed(
            f"authorization_servers is {shown(value)}",
            "List the issuer of the authorization server, as a whole https address.",
        )
    return passed(", ".join(named[:5]))


def scopes(visit: Visit) -> Finding:
    """MCP "Scope Selection Strategy": clients that find no scope in the challenge ask for all of these."""
    if "scopes_supported" not in visit.resource():
        return warned("there is no scopes_supported", "Name the scopes of an ordinary session.")
    named = texts(visit.resource(), "scopes_supported")
    if "offline_access" in named:
        return warned("offline_access is among them", "Leave offline_access out: it is not the resource's to give.")
    return passed(" ".join(named[:20]) or "none")


def _why(answer: Answer) -> str:
    reason = answer.read()[1] if answer.status == 200 else f"answers {answer.status}"
    return f"{answer.url} {reason}"


CHECKS = (document_at_path, document_at_root, document_of_header, resource, authorization_servers, scopes)
