"""Which steps make an attempt, and what is said of it: pure, by table."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from app.protocol.client_metadata import CLIENT_CREDENTIALS
from app.protocol.metadata import JWT_BEARER
from app.traces.attempts import Attempt, attempts
from app.traces.step import Step, what_is
from app.traces.store import plain
from app.traces.verdicts import verdict
from app.traces.words import words

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVER: dict[str, Any] = {"address": "192.0.2.1", "user_agent": "program"}
BROWSER: dict[str, Any] = {"address": "198.51.100.7", "user_agent": "Mozilla"}
numbers = count(1)


def step(what: str, status: int = 200, **known: Any) -> Step:
    number = next(numbers)
    return Step(
        **{
            "at": NOW,
            "request_id": f"{number:016x}",
            "id": number,
            "what": what,
            "method": "GET",
            "path": "/x",
            "status": status,
            **SERVER,
            **known,
        }
    )


def refused(what: str, status: int, error: str, description: str = "", **known: Any) -> Step:
    return step(what, status, error=error, description=description, **known)


def tokenless() -> Step:
    return refused("mcp", 401, "unauthorized", "a bearer token is needed here")


def in_turn(*steps: Step, seconds: float = 1) -> list[Step]:
    """Each a moment after the one before."""
    return [replace(one, at=NOW + timedelta(seconds=seconds * n)) for n, one in enumerate(steps)]


RESOURCE = step("discovery", path="/.well-known/oauth-protected-resource/mcp")
METADATA = step("discovery", path="/.well-known/oauth-authorization-server")
LOOKED = (RESOURCE, METADATA)
REGISTERED = step("registration", 201, client_id="client_1", client_name="Quill")
KNOWN: dict[str, Any] = {"client_id": "client_1", "client_name": "Quill", "links": ("a",)}
ASKED = step("authorize", 303, **KNOWN, **{**BROWSER, "facts": {"next": "sign-in"}})
SHOWN = step("sign-in", **KNOWN, **BROWSER)
WRONG = refused("sign-in", 400, "wrong_password", **KNOWN, **BROWSER)
SIGNED_IN = step("sign-in", 303, **KNOWN, **BROWSER, facts={"signed_in": True})
CONSENT = step("consent", **KNOWN, **BROWSER)
DENIED = refused("consent", 303, "access_denied", **KNOWN, **BROWSER, facts={"decision": "deny"})
ALLOWED = step("consent", 303, **KNOWN, **BROWSER, facts={"decision": "allow"})
CODE = step("authorize", 302, **KNOWN | {"links": ("a", "k")}, **BROWSER, facts={"next": "code", "redirect_host": "h"})
ISSUED = step("token", **KNOWN, connection_id="con_1", user_id="usr_1", facts={"grant_type": "authorization_code"})
REFRESHED = replace(ISSUED, links=(), facts={"grant_type": "refresh_token"})
CALLED = step("mcp", client_id="client_1", connection_id="con_1", facts={"scope": ["read"]})
SCOPE = replace(CALLED, status=403, error="insufficient_scope", facts={"needed": ["read", "write"], "held": ["read"]})
EXCHANGE = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "scope": ["read"]}
POLL = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}
URL = "https://quill.example/client.json"
DEVICE = step("device", client_id="client_1", client_name="Quill", links=("d", "u"), facts={"scope": ["read"]})
PENDING = refused("token", 400, "authorization_pending", client_id="client_1", links=("d",), facts=POLL)
HASTY = replace(PENDING, error="slow_down")
TYPED = step("device page", client_id="client_1", links=("u", "d"), **BROWSER, facts={"entered": True})
ALLOWED_THERE = step("device decision", links=("d",), **BROWSER, facts={"decision": "allow"})
DENIED_THERE = replace(ALLOWED_THERE, facts={"decision": "deny"})
POLLED = replace(PENDING, status=200, error=None, connection_id="con_1", facts=POLL | {"scope": ["read"]})
PUSHED = step("pushed", 201, **KNOWN)
BEGUN = (tokenless(), *LOOKED, REGISTERED, ASKED)
WHOLE = (*BEGUN, SHOWN, SIGNED_IN, CONSENT, ALLOWED, CODE, ISSUED)


def token_refused(error: str, why: str) -> Step:
    return refused("token", 400, error, "short", **KNOWN, facts={"why": [why], "client_auth": "none"})


WORDS = {503: "temporarily_unavailable"}


def grant_refused(grant_type: str, why: str, status: int = 400) -> Step:
    error = "invalid_grant" if status == 400 else "temporarily_unavailable"
    return refused("token", status, error, why, **KNOWN, facts={"grant_type": grant_type})


def by_document(document: str, why: str = "", what: str = "authorize", status: int = 400, **facts: str) -> Step:
    facts |= {"document": document, "document_why": why}
    return refused(what, status, WORDS.get(status, "invalid_client"), "short", client_id=URL, facts=facts)


def with_copy(one: Step, document: str = "kept copy", why: str = "its host is not known", **facts: str) -> Step:
    return replace(one, client_id=URL, facts={**one.facts, "document": document, "document_why": why, **facts})


def unproven(description: str, what: str = "token", status: int = 401, **facts: Any) -> Step:
    error = WORDS.get(status, "invalid_client")
    return refused(what, status, error, description, client_id="client_1", client_name="Quill", facts=facts)


def no_good(description: str) -> Step:
    return refused("mcp", 401, "invalid_token", description)


def authorize_refused(error: str, description: str, **facts: Any) -> Step:
    return refused("authorize", 400, error, description, **KNOWN, **BROWSER, facts=facts)


@pytest.mark.parametrize(
    ("steps", "later", "state", "said"),
    [
        ((tokenless(),), 10, "in progress", "turn of the client"),
        ((tokenless(),), 90, "abandoned", "nothing was fetched"),
        ((tokenless(), RESOURCE), 90, "abandoned", "never that of the authorization server"),
        ((tokenless(), *LOOKED), 90, "abandoned", "never registered"),
        ((refused("registration", 400, "invalid_redirect_uri", "x is plain http"),), 0, "failed", "x is plain http"),
        ((refused("registration", 429, "too_many_requests"),), 0, "failed", "Too many requests"),
        ((refused("registration", 403, "client_limit_exceeded"),), 0, "failed", "never used"),
        ((REGISTERED,), 90, "abandoned", "never opened the sign-in page"),
        ((authorize_refused("invalid_request", "", fault="unknown_client"),), 0, "failed", "not registered here"),
        (
            (authorize_refused("invalid_request", "", fault="redirect_uri", redirect="https://a/", registered=["b"]),),
            0,
            "failed",
            "answered at https://a/, but registered b",
        ),
        ((authorize_refused("invalid_request", "code_challenge is missing"),), 0, "failed", "PKCE"),
        ((authorize_refused("login_required", "nobody is signed in"),), 0, "failed", "prompt=none"),
        ((authorize_refused("invalid_target", "", resource=["https://a/mcp"]),), 0, "failed", "https://a/mcp"),
        ((authorize_refused("temporarily_unavailable", "away"),), 0, "failed", "away"),
        (BEGUN, 90, "abandoned", "never opened it"),
        ((*BEGUN, SHOWN), 600, "in progress", "person at the sign-in page"),
        ((*BEGUN, SHOWN), 1900, "abandoned", "nobody signed in"),
        ((*BEGUN, SHOWN, WRONG, WRONG), 1900, "abandoned", "given 2 times"),
        ((*BEGUN, WRONG, replace(WRONG, status=429, error="too_many_requests")), 0, "failed", "Too many wrong"),
        ((*BEGUN, SIGNED_IN), 90, "abandoned", "did not go on"),
        ((*BEGUN, SIGNED_IN, CONSENT), 600, "in progress", "person at the consent page"),
        ((*BEGUN, SIGNED_IN, CONSENT), 1900, "abandoned", "neither Allow nor Deny"),
        ((*BEGUN, CONSENT, DENIED), 0, "failed", "pressed Deny"),
        (WHOLE[:-1], 10, "in progress", "turn of the client"),
        (WHOLE[:-1], 90, "failed", "never redeemed"),
        ((*WHOLE[:-1], token_refused("invalid_client", "x")), 0, "failed", "client id client_1, authentication none"),
        ((REGISTERED, PUSHED), 10, "in progress", "turn of the client"),
        ((REGISTERED, PUSHED), 90, "abandoned", "pushed its request to /par and never opened"),
        (
            (replace(PUSHED, status=400, error="invalid_target", facts={"resource": "https://a/"}),),
            0,
            "failed",
            "https://a/",
        ),
        ((replace(PUSHED, status=429, error="too_many_requests"),), 0, "failed", "/x refused this one"),
        ((unproven("client authentication failed", "pushed"),), 0, "failed", "client authentication failed"),
        ((unproven("this client is public; send no client_secret"),), 0, "failed", "is public; send no client_secret"),
        ((unproven("this client has a secret, and none was sent", "device"),), 0, "failed", "and none was sent"),
        ((DEVICE,), 500, "in progress", "enter the device's code at /device"),
        ((DEVICE, PENDING, HASTY), 500, "in progress", "enter the device's code at /device"),
        ((DEVICE, PENDING), 700, "abandoned", "nobody entered it"),
        ((DEVICE, replace(TYPED, facts={})), 700, "abandoned", "nobody entered it"),
        ((DEVICE, TYPED, HASTY), 700, "abandoned", "neither Allow nor Deny"),
        ((DEVICE, TYPED, ALLOWED_THERE), 30, "in progress", "turn of the device"),
        ((DEVICE, TYPED, ALLOWED_THERE), 90, "failed", "did not ask for its token any more"),
        ((DEVICE, TYPED, DENIED_THERE), 0, "failed", "pressed Deny for the device"),
        ((DEVICE, replace(PENDING, error="access_denied")), 0, "failed", "pressed Deny for the device"),
        ((DEVICE, replace(PENDING, error="expired_token")), 0, "failed", "before anybody entered it"),
        ((DEVICE, TYPED, replace(PENDING, error="expired_token")), 0, "failed", "before Allow or Deny"),
        ((DEVICE, replace(PENDING, error="invalid_grant", description="is used")), 0, "failed", "no token: is used"),
        (
            (DEVICE, TYPED, ALLOWED_THERE, POLLED, replace(TYPED, links=("u",), facts={})),
            90,
            "failed",
            "no call of /mcp came",
        ),
        ((DEVICE, TYPED, ALLOWED_THERE, POLLED, CALLED), 90, "connected", "is connected"),
        ((replace(DEVICE, status=400, error="unauthorized_client"),), 0, "failed", "did not register for that"),
        ((replace(DEVICE, status=400, error="invalid_target", description="x"),), 0, "failed", "not given a code: x"),
        ((unproven("client authentication failed", "device"),), 0, "failed", "client authentication failed"),
        ((refused("device page", 400, "unknown_code", links=("z",)),), 0, "failed", "no device waits for"),
        ((refused("device page", 429, "too_many_requests", links=("z",)),), 0, "failed", "Too many requests"),
        ((DEVICE, replace(ALLOWED_THERE, status=400, error="expired_token")), 0, "failed", "came to nothing"),
        (
            (by_document("unwelcome", "is on a host that this server's operator has not listed"),),
            0,
            "failed",
            "your list",
        ),
        (
            (by_document("unwelcome", "is a URL, and this server takes registered clients only"),),
            0,
            "failed",
            "off here",
        ),
        ((by_document("unwelcome", "has a dot segment in its path"),), 0, "failed", "dot segment"),
        ((by_document("unread", "its host is not known"),), 0, "failed", f"{URL}, and that could not be read"),
        ((by_document("invalid", "no client_name"),), 0, "failed", "will not do: no client_name"),
        ((by_document("invalid", "no client_name", "token"),), 0, "failed", "will not do: no client_name"),
        ((by_document("removed"),), 0, "failed", "was removed here"),
        ((*WHOLE[:-1], ISSUED, with_copy(CALLED)), 0, "connected", "so the copy from the last time was used"),
        (
            (*BEGUN[:-1], with_copy(ASKED, "shipped copy", document_as_of="2026-09")),
            0,
            "in progress",
            "the copy of 2026-09",
        ),
        ((with_copy(ASKED), replace(with_copy(ASKED), facts={"document": "fetched"})), 0, "in progress", "the client."),
        ((unproven("client_assertion was used before"),), 0, "failed", "its client_assertion was used before"),
        (
            (unproven("x", keys_why="its host is not known", keys_uri="https://q/k"),),
            0,
            "failed",
            "keys at https://q/k",
        ),
        (
            (unproven("x", status=503, keys_why="its host is not known", keys_uri="https://q/k"),),
            0,
            "failed",
            "keys at https://q/k",
        ),
        (
            (unproven("x", "device", status=503, keys_why="its host is not known", keys_uri="https://q/k"),),
            0,
            "failed",
            "keys at https://q/k",
        ),
        ((by_document("unread", "its host is not known", "token", 503),), 0, "failed", "and that could not be read"),
        ((by_document("unread", "its host is not known", "pushed", 503),), 0, "failed", "and that could not be read"),
        ((replace(ISSUED, facts=EXCHANGE),), 900, "connected", "exchanged for another, with scope read"),
        (
            (replace(token_refused("invalid_request", "the subject_token expired"), facts=EXCHANGE),),
            0,
            "failed",
            "was not exchanged: short",
        ),
        ((replace(ISSUED, facts={"scope": ["openid", "email"]}),), 900, "connected", "(OpenID Connect)"),
        ((replace(ISSUED, facts={"scope": ["openid", "read"]}),), 900, "failed", "no call of /mcp"),
        ((ISSUED, step("userinfo", connection_id="con_1", user_id="usr_1")), 900, "connected", "who usr_1 is"),
        ((ISSUED, refused("userinfo", 403, "insufficient_scope")), 0, "failed", "without the scope openid"),
        ((CALLED, refused("userinfo", 403, "insufficient_scope")), 0, "connected", "without the scope openid"),
        (
            (refused("userinfo", 401, "invalid_token", "it expired"),),
            0,
            "failed",
            "/userinfo refused the token: it expired",
        ),
        ((REGISTERED, step("management", 204, method="DELETE")), 0, "abandoned", "deleted its own registration"),
        ((REGISTERED, step("management", method="PUT")), 90, "abandoned", "never opened the sign-in page"),
        ((refused("management", 401, "invalid_token", "not yours"),), 0, "failed", "may not change"),
        ((*WHOLE[:-1], token_refused("invalid_grant", "the code_verifier does not fit")), 0, "failed", "verifier"),
        ((*WHOLE[:-1], token_refused("invalid_grant", "the code expired")), 0, "failed", "expired"),
        ((*WHOLE, token_refused("invalid_grant", "the code was used before")), 0, "failed", "used before"),
        ((token_refused("unsupported_grant_type", "no such"),), 0, "failed", "no such"),
        ((*WHOLE, token_refused("invalid_grant", "the refresh token was used before")), 0, "failed", "second time"),
        ((*WHOLE, token_refused("invalid_grant", "the refresh token is expired")), 0, "failed", "is expired"),
        (WHOLE, 30, "in progress", "turn of the client"),
        (WHOLE, 61 + len(WHOLE), "failed", "no call of /mcp came within 60 s"),
        ((*WHOLE, SHOWN), 90, "failed", "no call of /mcp"),
        ((*WHOLE, tokenless()), 0, "failed", "called without one"),
        ((*WHOLE, no_good("the access token is for another resource")), 0, "failed", "another resource"),
        ((*WHOLE, no_good("the access token is from another issuer")), 0, "failed", "another issuer"),
        ((*WHOLE, no_good("the access token is not valid")), 0, "failed", "not valid"),
        ((*WHOLE, CALLED, no_good("the access token was revoked")), 0, "failed", "revoked"),
        ((*WHOLE, CALLED, no_good("the access token expired")), 0, "connected", "expected to refresh"),
        ((no_good("the API key is not valid"),), 0, "failed", "API key"),
        ((*WHOLE, CALLED, SCOPE), 0, "connected", "1 of its calls"),
        ((*WHOLE, SCOPE), 0, "failed", "what needs read write"),
        ((*WHOLE, CALLED, SCOPE, SCOPE, SCOPE), 0, "failed", "again and again"),
        ((refused("mcp", 421, "stranger", facts={"host": "a.example"}),), 0, "failed", "called as a.example"),
        ((refused("mcp", 403, "stranger", facts={"origin": "https://a"}),), 0, "failed", "page of https://a"),
        ((refused("mcp", 503, "temporarily_unavailable"),), 0, "failed", "could not answer"),
        ((*WHOLE, replace(CALLED, status=406)), 0, "failed", "answered with 406"),
        ((*WHOLE, CALLED, replace(CALLED, status=400)), 0, "connected", "answered with 400"),
        ((*WHOLE, CALLED), 9999, "connected", "is connected"),
        ((REFRESHED,), 9999, "connected", "refreshed its token"),
        ((replace(ISSUED, facts={"grant_type": CLIENT_CREDENTIALS}),), 9999, "connected", "was given a token"),
    ],
)
def test_the_verdict(steps: tuple[Step, ...], later: float, state: str, said: str) -> None:
    attempt = Attempt(tuple(in_turn(*steps)))
    judged = verdict(attempt, attempt.ended_at + timedelta(seconds=later))
    assert judged.state == state, judged
    assert said in judged.sentence, judged
    assert judged.next_step is not None or judged.state in ("connected", "in progress")
    assert all(words(one) for one in attempt.steps)


@pytest.mark.parametrize(
    ("grant_type", "why", "status", "cure"),
    [
        (CLIENT_CREDENTIALS, "the account that this client acts for is disabled", 400, "user enable"),
        (CLIENT_CREDENTIALS, "this client did not register for this grant type", 400, "--client-credentials"),
        (CLIENT_CREDENTIALS, "scope names nothing that this client was given", 400, "client show"),
        (CLIENT_CREDENTIALS, "the server cannot reach its database", 503, "gatehouse doctor"),
        (JWT_BEARER, "assertion is from an issuer that this server does not trust", 400, "GATEHOUSE_TRUSTED_ISSUERS"),
        (JWT_BEARER, "assertion is about somebody unknown here", 400, "identity add"),
        (JWT_BEARER, "assertion was used before", 400, "administrators"),
        (JWT_BEARER, "the keys of https://a cannot be had: its host is not known", 503, "provider up"),
        (JWT_BEARER, "the server cannot reach its database", 503, "gatehouse doctor"),
    ],
)
def test_what_to_do_about_a_grant_without_a_browser(grant_type: str, why: str, status: int, cure: str) -> None:
    judged = verdict(Attempt((grant_refused(grant_type, why, status),)), NOW)
    assert judged.state == "failed"
    assert why in judged.sentence
    assert cure in (judged.next_step or "")


@pytest.mark.parametrize(
    ("why", "cure"),
    [
        ("the answer had status 403 instead of 200", "may take this server for a robot"),
        ("the answer had status 404 instead of 200", "for the maker of the client"),
        ("its host is not known", "getent hosts quill.example"),
        ("its host did not answer properly", f"curl -sI {URL}"),
        ("it took longer than 5 seconds", "outbound https blocked"),
        ("its certificate is not valid", "GATEHOUSE_CA_FILE"),
        ("this server fetches too much at once; try again in a moment", "looked up slowly"),
        ("its host has an address that is not on the public internet", "your own network"),
        ("it is larger than 5120 bytes", "for the maker of the client"),
    ],
)
def test_each_reason_why_a_document_could_not_be_read_has_its_cure(why: str, cure: str) -> None:
    assert cure in str(verdict(Attempt((by_document("unread", why),)), NOW).next_step)
    copied = verdict(Attempt((with_copy(CALLED, why=why),)), NOW)
    assert cure in str(copied.next_step)
    assert f"({why})" in copied.sentence


@pytest.mark.parametrize("uri", ["https://x;touch$IFS$HOME/j", "https://$(id)/j", "https://a|b", "https://[x;y/j"])
def test_a_name_to_look_up_is_one_word_of_the_command(uri: str) -> None:
    step = unproven("the keys of this client could not be read", keys_uri=uri, keys_why="its host is not known")
    command = str(verdict(Attempt((step,)), NOW).next_step).partition("Try here: ")[2]
    assert len(shlex.split(command)) == 3
    assert shlex.join(shlex.split(command)) == command


def test_what_an_assertion_says_of_itself_is_in_the_cure() -> None:
    said: dict[str, Any] = {
        "assertion_expires_in": -90,
        "assertion_key": "k7",
        "assertion_alg": "ES256",
        "assertion_audience": ["https://a/"],
    }
    for fault, cure in (
        ("expired", "here it was 12:00:00 UTC, and by its own word it had expired 90 s before"),
        ("is meant for another audience", "It is meant for https://a/"),
        ("is not signed with a key of its issuer", "It names the key k7 (ES256)"),
    ):
        assert cure in str(verdict(Attempt((unproven(f"client_assertion {fault}", **said),)), NOW).next_step)


def test_an_expired_token_that_keeps_coming() -> None:
    steps = in_turn(*[no_good("the access token expired")] * 3, seconds=40)
    assert "goes on sending" in verdict(Attempt(tuple(steps)), NOW).sentence


def sizes(*steps: Step, seconds: float = 1) -> list[int]:
    return [len(attempt.steps) for attempt in attempts(in_turn(*steps, seconds=seconds))]


def elsewhere(one: Step, address: str = "203.0.113.9", user_agent: str = "another") -> Step:
    return replace(one, address=address, user_agent=user_agent)


def anew(*steps: Step, link: str, connection: str) -> list[Step]:
    return [
        replace(one, links=tuple(link + x for x in one.links), connection_id=connection if one.connection_id else None)
        for one in steps
    ]


def test_a_whole_flow_is_one() -> None:
    assert sizes(*WHOLE, CALLED) == [len(WHOLE) + 1]
    assert sizes(*WHOLE, CALLED, seconds=100) == [len(WHOLE) + 1]


def test_a_second_try_is_a_second_attempt() -> None:
    again = anew(*WHOLE, CALLED, link="2", connection="con_2")
    assert sizes(*WHOLE, CALLED, *again) == [len(WHOLE) + 1] * 2


def test_people_behind_one_client_id_are_kept_apart() -> None:
    """A CIMD client id, and an identical registration, is that of every installation."""
    theirs = anew(*WHOLE[4:], CALLED, link="b", connection="con_b")
    mixed = [one for pair in zip(WHOLE[4:], theirs, strict=False) for one in pair]
    found = attempts(in_turn(*WHOLE[:4], *mixed, CALLED, theirs[-1]))
    assert [len({step.connection_id for step in one.steps} - {None}) for one in found] == [1, 1]
    assert sorted(len(one.steps) for one in found) == [len(theirs), len(WHOLE) + 1]


def test_a_hosted_client_without_registration() -> None:
    """Its server looks around, a browser signs in, its server redeems: joined by who redeems, or for being alone."""
    flow = WHOLE[4:]
    assert sizes(tokenless(), *LOOKED, *flow, CALLED) == [len(flow) + 4]
    other = [elsewhere(one) for one in (tokenless(), *LOOKED)]
    found = attempts(in_turn(tokenless(), *LOOKED, *other, *flow, CALLED))
    assert sorted(len(one.steps) for one in found) == [3, len(flow) + 4]


def test_a_program_that_calls_under_another_name_from_the_same_address() -> None:
    first, late = replace(tokenless(), user_agent="other"), replace(no_good("is not valid"), user_agent="a third")
    assert sizes(first, *WHOLE[1:], late) == [len(WHOLE) + 1]
    assert sizes(first, *WHOLE[1:-1], late) == [len(WHOLE) - 1, 1], "without a token nothing says that it is theirs"


def test_a_program_that_leaves_its_name_out_of_some_requests_and_connects_again() -> None:
    """The Python SDK's discovery has no User-Agent: that of its second try is no part of the first, which is connected."""
    bare = [elsewhere(one, SERVER["address"], "") for one in LOOKED]
    first, again = (tokenless(), *bare, *WHOLE[3:], CALLED), anew(*WHOLE[3:], CALLED, link="2", connection="con_2")
    assert sizes(*first, tokenless(), *bare, *again) == [len(first)] * 2


def test_a_hosted_client_whose_person_stops_in_the_browser() -> None:
    """Then nobody redeems, and that it was the only one to look around just now must do."""
    assert sizes(tokenless(), *LOOKED, ASKED, SHOWN) == [5]


def test_a_connection_that_nobody_knows_is_not_another_ones_beginning() -> None:
    """Somebody registers; somebody else with the same client id refreshes."""
    assert sizes(REGISTERED, replace(elsewhere(REFRESHED), connection_id="con_9")) == [1, 1]


def test_strangers_are_strangers() -> None:
    assert sizes(tokenless(), elsewhere(tokenless()), *[elsewhere(one) for one in LOOKED]) == [1, 3]
    assert sizes(*WHOLE, elsewhere(no_good("is not valid"))) == [len(WHOLE), 1]


def test_after_half_an_hour_of_silence_it_is_another_attempt() -> None:
    assert sizes(ISSUED, CALLED, seconds=1801) == [1, 1]


def test_registered_anew_after_a_refused_client() -> None:
    """401 invalid_client at /token is what makes clients register again."""
    bad = refused("token", 401, "invalid_client", client_id="client_0")
    assert sizes(bad, REGISTERED, *WHOLE[4:], CALLED) == [len(WHOLE[4:]) + 3]


def test_a_refused_key_spoils_nobodys_attempt() -> None:
    assert sizes(*WHOLE, CALLED, no_good("the API key is not valid")) == [len(WHOLE) + 1, 1]


def test_a_device_and_a_browser_somewhere_else_are_one() -> None:
    flow = (tokenless(), *LOOKED, REGISTERED, DEVICE, PENDING, TYPED, ALLOWED_THERE, POLLED, CALLED)
    assert sizes(*flow) == [len(flow)]
    assert sizes(*flow, seconds=100) == [len(flow)]


def test_a_code_that_nobody_knows_is_nobodys_beginning() -> None:
    wrong = refused("device page", 400, "unknown_code", links=("z",), **BROWSER)
    assert sizes(tokenless(), *LOOKED, wrong) == [3, 1]
    assert sizes(DEVICE, wrong, TYPED) == [1, 2]


def test_a_device_that_has_to_wait_has_not_failed() -> None:
    """Its program looks around once more meanwhile: that is a part of it."""
    assert sizes(DEVICE, PENDING, tokenless()) == [3]
    assert sizes(DEVICE, replace(PENDING, error="expired_token"), tokenless()) == [2, 1]


def test_a_pushed_request_is_joined_by_its_challenge() -> None:
    """The one who pushes is a server, the one who opens the page a browser elsewhere."""
    assert sizes(tokenless(), *LOOKED, PUSHED, *WHOLE[4:], CALLED) == [len(WHOLE[4:]) + 5]


def test_other_steps_are_no_attempt() -> None:
    assert attempts([step("other", 404)]) == []


def test_ten_thousand_steps_are_sorted_in_a_moment() -> None:
    many = [one for n in range(800) for one in anew(*WHOLE, CALLED, link=f"{n}.", connection=f"con_{n}")]
    began = datetime.now(UTC)
    assert len(attempts(in_turn(*many, seconds=0.01))) >= 700
    assert datetime.now(UTC) - began < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/mcp/", "mcp"),
        ("/token", "token"),
        ("/.well-known/openid-configuration", "discovery"),
        ("/.well-known/jwks.json", None),
        ("/account", None),
        ("/par", "pushed"),
        ("/device/decision", "device decision"),
        ("/register/client_1", "management"),
    ],
)
def test_what_an_address_is(path: str, what: str | None) -> None:
    assert what_is(path) == what


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("plain", "plain"),
        ("a\0b\x1b\u202e\ud800c", "a?b???c"),
        ("x gh_key_0123456789abcdef y", "x (secret) y"),
        ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.sig", "(secret)"),
        ("é" * 90, "é" * 50),
    ],
)
def test_words_are_made_plain(given: str, kept: str) -> None:
    assert plain(given, 50) == kept
