"""Which steps make an attempt, and what is said of it: pure, by table."""

from __future__ import annotations

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
BEGUN = (tokenless(), *LOOKED, REGISTERED, ASKED)
WHOLE = (*BEGUN, SHOWN, SIGNED_IN, CONSENT, ALLOWED, CODE, ISSUED)


def token_refused(error: str, why: str) -> Step:
    return refused("token", 400, error, "short", **KNOWN, facts={"why": [why], "client_auth": "none"})


def grant_refused(grant_type: str, why: str, status: int = 400) -> Step:
    error = "invalid_grant" if status == 400 else "temporarily_unavailable"
    return refused("token", status, error, why, **KNOWN, facts={"grant_type": grant_type})


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
