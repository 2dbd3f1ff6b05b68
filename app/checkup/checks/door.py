"""/mcp without a token, with a made-up one, and with a slash (MCP authorization "Token Handling", RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

from app.checkup.answer import Answer, Challenge, challenge
from app.checkup.findings import Finding, Stop, failed, passed, shown, skipped, warned
from app.checkup.snippets import AUTHORIZATION, BOTS, SCHEME, SLASH, WHOLE
from app.checkup.target import is_web
from app.checkup.visit import Visit

FIRST = "Judge the token before method, headers and body, and answer 401 without one."


def post_without_token(visit: Visit) -> Finding:
    """401 for POST."""
    return _refused(visit, visit.main("post"))


def get_without_token(visit: Visit) -> Finding:
    """401 for GET too: mcp-remote and fastmcp ask that way first."""
    return _refused(visit, visit.main("get"))


def _refused(visit: Visit, answer: Answer) -> Finding:
    said = f"{answer.method} answers {answer.status}"
    if answer.status == 401:
        return passed(said)
    if answer.is_redirect:
        return skipped(f"{said}, see redirects")
    if answer.status < 300:
        return failed(f"{said}: it is served without a token", "Put the guard in front: 401 to whoever has no token.")
    if _is_filter(answer):
        return failed(f"{said}: a filter in front answers", "Let programs through: clients are no browsers.", BOTS)
    if answer.status == 429:
        return failed(f"{said}: too many requests", "Wait, and ask again; a client asks as often as the doctor does.")
    if answer.status == 404:
        return failed(said, f"Forward {visit.target.path} to the server, or give the address it really has.", WHOLE)
    if answer.status >= 500:
        return failed(said, "Look whether the server behind the proxy runs and where the proxy sends requests.", WHOLE)
    if answer.status == 421:
        return failed(
            said, "Let the proxy pass Host on unchanged, and set the server's public address to this one.", WHOLE
        )
    return failed(said, FIRST)


def redirects(visit: Visit) -> Finding:
    """Clients do not send a token after a redirect, and turn POST into GET."""
    for answer in (visit.main("post"), visit.other("get")):
        if answer.is_redirect:
            return _redirected(answer, "Answer at this address itself, or give clients the one it leads to.")
    return passed("none")


def slash(visit: Visit) -> Finding:
    """With a slash at the end: the same answer, not a redirect that loses Authorization."""
    if visit.target.path == "/":
        return skipped("the server is at the root")
    answer, plain_one = visit.main("post with slash"), visit.other("post")
    if answer.is_redirect:
        return _redirected(answer, f"Serve {visit.target.path}/ exactly like {visit.target.path}, without a redirect.")
    if answer.status != plain_one.status:
        return warned(
            f"{visit.target.path}/ answers {answer.status}, {visit.target.path} {plain_one.status}",
            f"Serve {visit.target.path}/ like {visit.target.path}: people paste either.",
            SLASH,
        )
    return passed(f"{visit.target.path}/ answers {answer.status} too")


def _redirected(answer: Answer, cure: str) -> Finding:
    where = shown(answer.header("location"))
    return failed(f"{answer.url} answers {answer.status} to {where}; Authorization is lost on the way", cure, SLASH)


def www_authenticate(visit: Visit) -> Finding:
    """The Bearer challenge is there."""
    _stop_unless_401(visit)
    if visit.challenge is not None:
        return passed("Bearer")
    line = visit.answers["post"].header("www-authenticate")
    said = f"the 401 has WWW-Authenticate: {shown(line)}" if line else "the 401 has no WWW-Authenticate header"
    return failed(
        said, 'Send WWW-Authenticate: Bearer resource_metadata="…", scope="…" with the 401, and let no proxy remove it.'
    )


def resource_metadata(visit: Visit) -> Finding:
    """The challenge names the resource metadata, in quotes, by an absolute address."""
    found = _challenge(visit)
    url = found.values.get("resource_metadata")
    if url is None:
        return failed(
            "WWW-Authenticate has no resource_metadata",
            "Add resource_metadata with the address of the RFC 9728 document.",
        )
    if "resource_metadata" in found.unquoted:
        return failed(
            f"resource_metadata={shown(url)} stands without quotes",
            "Put the address in double quotes: some clients read no other.",
        )
    if not is_web(url):
        return failed(f"resource_metadata is {shown(url)}", "Write the whole address, with https:// and host.")
    if visit.target.is_https and url.startswith("http:"):
        return failed(
            f"resource_metadata is {shown(url)}",
            "Make it https: the server does not know that TLS ends before it.",
            SCHEME,
        )
    return passed(url)


def scope(visit: Visit) -> Finding:
    """The challenge says what to ask for (SHOULD)."""
    value = _challenge(visit).values.get("scope")
    if value is None:
        return warned(
            "WWW-Authenticate has no scope", "Name the scopes of an ordinary session, so that clients ask for these."
        )
    if "offline_access" in value.split():
        return warned(f"scope={shown(value)}", "Leave offline_access out of the challenge.")
    return passed(value or "empty")


def no_error(visit: Visit) -> Finding:
    """RFC 6750 §3.1: who brought no token is told no error."""
    error = _challenge(visit).values.get("error")
    if error is not None:
        return warned(f"error={shown(error)} though no token was sent", "Send error only to those who sent a token.")
    return passed("none told")


def authorization_arrives(visit: Visit) -> Finding:
    """A made-up token is refused as one: so the header passes the proxy, and the server looks at it."""
    answer, without = visit.main("made-up token"), visit.other("post")
    if answer.is_redirect or without.status != 401:
        return skipped("only with a 401 can it be seen")
    if answer.status < 300:
        return failed(
            f"a made-up token is served ({answer.status})",
            "Verify signature, issuer, audience and expiry of every token.",
        )
    if answer.status != 401:
        return failed(f"a made-up token is answered {answer.status}", 'Answer 401 with error="invalid_token".')
    found, bare = challenge(answer), challenge(without)
    if found is not None and found.values.get("error") == "invalid_token":
        if bare is not None and bare.values.get("error") == "invalid_token":
            return skipped("the answer is the same without a token, so it cannot be seen")
        return passed("a made-up token is answered invalid_token")
    if bare is None:
        return skipped("there is no Bearer challenge to tell it by")
    return failed(
        "a made-up token is answered as if none had come",
        'Let the proxy pass Authorization on; or, if it does, let the server say error="invalid_token".',
        AUTHORIZATION,
    )


def programs_get_in(visit: Visit) -> Finding:
    """The User-Agent of hosted Claude gets the same answer."""
    answer, usual = visit.main("post as Claude"), visit.other("post")
    if answer.status == usual.status:
        return passed("User-Agent Claude-User is answered alike")
    return failed(
        f"User-Agent Claude-User is answered {answer.status}, others {usual.status}",
        "Switch the filter against AI bots off for this host: it stops the users' own clients.",
        BOTS,
    )


def refusal_is_json(visit: Visit) -> Finding:
    """The 401 is the server's own answer, not a page."""
    answer = _stop_unless_401(visit)
    if answer.read()[0] is not None and answer.is_json:
        return passed("the 401 is JSON")
    if answer.is_html:
        return failed("the 401 is an HTML page", "Answer as JSON, and let no proxy replace it by a page.")
    return warned(
        f"the 401 has the content type {shown(answer.media_type)}", "Answer with a JSON object that names the error."
    )


def _is_filter(answer: Answer) -> bool:
    return answer.status in (403, 429, 503) and (answer.is_html or bool(answer.header("cf-mitigated")))


def _stop_unless_401(visit: Visit) -> Answer:
    answer = visit.other("post")
    if answer.status != 401:
        raise Stop(skipped(f"POST answers {answer.status}"))
    return answer


def _challenge(visit: Visit) -> Challenge:
    _stop_unless_401(visit)
    if visit.challenge is None:
        raise Stop(skipped("there is no Bearer challenge"))
    return visit.challenge


CHECKS = (
    redirects,
    slash,
    post_without_token,
    get_without_token,
    www_authenticate,
    resource_metadata,
    scope,
    no_error,
    authorization_arrives,
    programs_get_in,
    refusal_is_json,
)
