"""The authorization server's metadata (RFC 8414 §2, §3; RFC 9207 §3; OpenID Connect Discovery §3; MCP "Client Registration")."""

from __future__ import annotations

from app.checkup.answer import Answer, nulls, texts
from app.checkup.findings import Finding, Stop, failed, passed, shown, skipped, warned
from app.checkup.snippets import SCHEME, WELL_KNOWN
from app.checkup.target import is_web
from app.checkup.visit import Visit

NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "response_types_supported")
OPENID = (
    "jwks_uri",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "code_challenge_methods_supported",
)


def metadata(visit: Visit) -> Finding:
    """RFC 8414, or OpenID Connect Discovery in its place."""
    answer = visit.main("server metadata")
    if answer.document is not None:
        return passed(answer.url)
    openid = visit.answers.get("openid")
    if openid is not None and openid.document is not None:
        return passed(f"{openid.url} (no RFC 8414 document)")
    reason = answer.read()[1] if answer.status == 200 else f"answers {answer.status}"
    return failed(
        f"{answer.url} {reason}",
        "Serve the RFC 8414 document here, and let the proxy forward /.well-known/.",
        WELL_KNOWN,
    )


def issuer(visit: Visit) -> Finding:
    """One string, byte for byte, in every document: clients compare it as text."""
    value = visit.server().get("issuer")
    if value != visit.issuer:
        cure = f"Let issuer be {shown(visit.issuer)} in every document and in iss, byte for byte."
        if isinstance(value, str) and value.rstrip("/") == visit.issuer.rstrip("/"):
            cure += " The slash at the end is the difference."
        return failed(
            f"issuer is {shown(value)}, the resource metadata (or the address) say {shown(visit.issuer)}", cure
        )
    if visit.issuer.endswith("/"):
        return warned(
            f"issuer is {shown(value)}, with a slash at its end",
            "Leave the slash out while nobody is connected: clients disagree about it.",
        )
    return passed(str(value))


def members(visit: Visit) -> Finding:
    """What no client can do without."""
    document = visit.server()
    missing = [name for name in NEEDED if not document.get(name)]
    if missing:
        return failed(f"the metadata lack {', '.join(missing)}", "Add them; RFC 8414 requires them.")
    for name in ("authorization_endpoint", "token_endpoint"):
        if not is_web(document[name]):
            return failed(f"{name} is {shown(document[name])}", "Write the whole address, with https:// and host.")
    if "code" not in texts(document, "response_types_supported"):
        return failed(
            'response_types_supported lacks "code"', "MCP clients use the authorization code flow: support code."
        )
    return passed(", ".join(NEEDED))


def https(visit: Visit) -> Finding:
    """Behind TLS no document names an http address."""
    if not visit.target.is_https:
        return skipped("the server itself is on plain http")
    named = [
        (name, url)
        for _, document in visit.documents
        for name, value in document.items()
        for url in (value if isinstance(value, list) else [value])
        if isinstance(url, str) and url.startswith("http:")
    ]
    if not visit.documents:
        raise Stop(skipped("there are no metadata to read"))
    if named:
        name, url = named[0]
        return failed(
            f"{name} is {shown(url)}",
            "Tell the server its public https address (for Gatehouse: GATEHOUSE_PUBLIC_URL).",
            SCHEME,
        )
    return passed("every address is https")


def openid(visit: Visit) -> Finding:
    """404, or complete and of the same issuer: clients that find it believe it."""
    answer = visit.main("openid")
    if answer.status in (404, 410):
        return passed(f"{answer.status}, so nobody takes it for OpenID Connect")
    document = answer.document
    if document is None:
        return failed(
            _instead(answer), "Answer 404 here, or the complete OpenID Connect document; never a page.", WELL_KNOWN
        )
    if document.get("issuer") != visit.issuer:
        return failed(
            f"issuer is {shown(document.get('issuer'))} here", f"Let it be {shown(visit.issuer)}, as everywhere."
        )
    missing = [name for name in (*NEEDED, *OPENID) if not document.get(name)]
    if missing:
        return failed(f"it lacks {', '.join(missing)}", "Complete it, or answer 404 here.")
    return passed("complete, same issuer")


def other_spellings(visit: Visit) -> Finding:
    """Clients try these before the right one: 404 as JSON, or the same document; never a page, a challenge or a redirect."""
    if visit.target.path == "/":
        return skipped("the server is at the root")
    for answer in (visit.main("server metadata at path"), visit.main("openid at path")):
        document = answer.document
        if answer.status == 200 and document is None:
            return failed(_instead(answer), "Answer 404 here, or the metadata; never a page.", WELL_KNOWN)
        if document is not None and document.get("issuer") != visit.issuer:
            return failed(
                f"{answer.url}: issuer is {shown(document.get('issuer'))}", "Answer 404 here, or the true metadata."
            )
        if answer.is_redirect or answer.status in (401, 403) or answer.status >= 500:
            return failed(
                _instead(answer), "Answer 404 or the metadata; let the guard protect the endpoint only.", WELL_KNOWN
            )
        if answer.status != 200 and answer.is_html:
            return warned(_instead(answer), "Answer programs with JSON here.")
    return passed("404, or the same document")


def pkce(visit: Visit) -> Finding:
    """Without S256 clients refuse to go on (MCP "Authorization Code Protection")."""
    methods = texts(visit.server(), "code_challenge_methods_supported")
    if "S256" not in methods:
        return failed(
            f"code_challenge_methods_supported is {' '.join(methods[:5]) or 'missing'}",
            'Support PKCE and say so: ["S256"].',
        )
    if "plain" in methods:
        return warned("S256, and plain too", "Leave plain out: it protects nothing.")
    return passed("S256")


def iss(visit: Visit) -> Finding:
    """RFC 9207: the answer names its issuer."""
    if visit.server().get("authorization_response_iss_parameter_supported") is True:
        return passed("authorization_response_iss_parameter_supported")
    return failed(
        "authorization_response_iss_parameter_supported is not true",
        "Send iss with every authorization response, errors too, and say so in the metadata (RFC 9207).",
    )


def public_clients(visit: Visit) -> Finding:
    """`none` is what switches Claude and Codex to Client ID Metadata Documents."""
    methods = texts(visit.server(), "token_endpoint_auth_methods_supported")
    if "none" in methods:
        return passed(" ".join(methods[:8]))
    return failed(
        f"token_endpoint_auth_methods_supported is {' '.join(methods[:8]) or 'missing'}",
        'Accept public clients with PKCE, and list "none".',
    )


def client_documents(visit: Visit) -> Finding:
    """Client ID Metadata Documents (SHOULD)."""
    if visit.server().get("client_id_metadata_document_supported") is True:
        return passed("client_id_metadata_document_supported")
    return warned(
        "client_id_metadata_document_supported is not true",
        "Support Client ID Metadata Documents: new clients prefer them.",
    )


def registration(visit: Visit) -> Finding:
    """One of the two ways in which a client that nobody knows gets a client_id."""
    if visit.endpoint("registration_endpoint"):
        return passed(visit.endpoint("registration_endpoint"))
    if visit.server().get("client_id_metadata_document_supported") is True:
        return warned(
            "no registration_endpoint", "Offer RFC 7591 too: Cursor, mcp-remote and others know nothing else."
        )
    return failed(
        "neither registration_endpoint nor client_id_metadata_document_supported",
        "Offer dynamic registration (RFC 7591) or Client ID Metadata Documents; otherwise every client is entered by hand.",
    )


def refresh(visit: Visit) -> Finding:
    """Without it people sign in again whenever a token ends."""
    grants = texts(visit.server(), "grant_types_supported")
    if "refresh_token" in grants:
        return passed("refresh_token")
    return warned(
        "grant_types_supported lacks refresh_token", "Issue refresh tokens: otherwise people sign in every hour."
    )


def no_null(visit: Visit) -> Finding:
    """Typed clients read null as a wrong type, not as absence."""
    if not visit.documents:
        raise Stop(skipped(visit.unreachable or "there are no metadata to read"))
    for answer, document in visit.documents:
        places = nulls(document)
        if places:
            return failed(
                f"{answer.url}: {', '.join(places[:5])} is null", "Leave the member out instead of sending null."
            )
    return passed(f"none in {len(visit.documents)} documents")


def content_types(visit: Visit) -> Finding:
    """application/json, for browsers with nosniff and clients that look."""
    if not visit.documents:
        raise Stop(skipped(visit.unreachable or "there are no metadata to read"))
    for answer, _ in visit.documents:
        if not answer.is_json:
            return failed(f"{answer.url} is {shown(answer.media_type)}", "Serve it as application/json.")
    return passed("application/json")


def _instead(answer: Answer) -> str:
    if answer.status == 200:
        return f"{answer.url} answers 200 but {answer.read()[1]}"
    return f"{answer.url} answers {answer.status}{' with a page' if answer.is_html else ''}"


CHECKS = (
    metadata,
    issuer,
    members,
    https,
    openid,
    other_spellings,
    pkce,
    iss,
    public_clients,
    client_documents,
    registration,
    refresh,
    no_null,
    content_types,
)
