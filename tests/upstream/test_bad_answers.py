"""What must not be believed: each is a page that says what happened, an event in the audit log, and nothing linked to anybody."""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import httpx2
import jwt
import pytest

from tests.actors import Browser, Page, http
from tests.conftest import House
from tests.signers import Signer
from tests.upstreams import CLIENT, SECRET, Upstream, answered, as_json, sent_to, signs_in


@pytest.fixture(autouse=True)
def _owner(house: House) -> None:
    house.add_user("owner@example.com")


def refused(house: House, page: Page, words: str, because: str, status: int = 400) -> None:
    assert (page.status, words in page.text) == (status, True), page.text
    assert "Reference:" in page.text
    because = because.replace("Acme", "it")
    [(detail,)] = house.sql("SELECT detail FROM audit_events WHERE event = 'upstream.refused'")
    assert because in detail["because"], detail  # type: ignore[index]
    assert detail["provider"] in ("acme", "plain")  # type: ignore[index]
    for table, rows in (("identities", 0), ("browser_sessions", 0), ("users", 1), ("upstream_accounts", 0)):
        assert house.sql(f"SELECT count(*) FROM {table}") == [(rows,)], table


# Who comes back, and with what -------------------------------------------------------------------------------------------


def test_in_another_browser(house: House, browser: Browser, acme: Upstream) -> None:
    """RFC 9700 §4.7: the flow of somebody else, opened by whoever was lured to it; theirs still goes on."""
    way_back = answered(sent_to(browser))
    victim = Browser(house.url)
    refused(house, victim.open(way_back), "This began in another browser", "another browser")
    sent_to(victim)
    assert "This began in another browser" in victim.open(way_back).text
    assert acme.grants == {}
    assert browser.open(way_back).url.endswith("/account")


def test_replayed(house: House, browser: Browser, acme: Upstream) -> None:
    way_back = answered(sent_to(browser))
    assert browser.open(way_back).url.endswith("/account")
    page = browser.open(way_back)
    assert (page.status, "used already" in page.text) == (400, True)
    assert acme.grants["authorization_code"] == 1
    assert house.sql("SELECT detail ->> 'because' FROM audit_events WHERE event = 'upstream.refused'") == [
        ("used before",)
    ]


def test_expired(house: House, browser: Browser, acme: Upstream) -> None:
    way_back = answered(sent_to(browser))
    house.turn_clock(minutes=11)
    refused(house, browser.open(way_back), "That took too long", "unknown or too old")
    assert acme.grants == {}


@pytest.mark.parametrize("state", [None, "", "gh_state_made_up", "x" * 3000, "%00", "ü"])
def test_a_state_that_is_none(house: House, browser: Browser, state: str | None) -> None:
    sent_to(browser)
    query = "code=x" if state is None else f"code=x&state={state}"
    page = browser.open(f"/callback/acme?{query}")
    assert page.status == 400
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'upstream.refused'") == [(1,)]


@pytest.mark.parametrize(
    "query", ["state=a&state=b&code=c", "code=a&code=b", "%ff=%ff", "&".join("a=1" for _ in range(80))]
)
def test_an_answer_that_nobody_sends(house: House, browser: Browser, query: str) -> None:
    refused(house, browser.open(f"/callback/acme?{query}"), "came from somewhere else", "malformed")


def test_a_code_of_another_service(house: House, browser: Browser, acme: Upstream) -> None:
    """RFC 9700 §4.4: each service has a callback of its own, and the flow knows whose it is."""
    way_back = answered(sent_to(browser, "plain")).replace("/callback/plain", "/callback/acme")
    refused(house, browser.open(way_back), "came from somewhere else", "it was sent to plain")
    assert acme.grants == {}


@pytest.mark.parametrize("iss", ["https://evil.example", "", None])
def test_another_issuer_answers(house: House, browser: Browser, acme: Upstream, iss: str | None) -> None:
    """RFC 9207 §2.4: another name, or none from somebody who says that he gives it."""
    acme.answers = {"iss": iss}
    refused(house, signs_in(browser), "came from somewhere else", "(iss)")
    assert acme.grants == {}


def test_a_service_that_is_not_configured(house: House, browser: Browser) -> None:
    assert browser.open("/callback/nobody?state=x&code=y").status == 404
    assert browser.open("/connect/nobody").status == 404


def test_its_user_says_no(house: House, browser: Browser, acme: Upstream) -> None:
    acme.answers = {"code": None, "error": "access_denied"}
    refused(house, signs_in(browser), "You said no at Acme", "access_denied")


def test_it_answers_with_an_error(house: House, browser: Browser, acme: Upstream) -> None:
    acme.answers = {"code": None, "error": "server_error", "error_description": "<b>broken</b>"}
    page = signs_in(browser)
    refused(house, page, "Acme refused", "server_error")
    assert "<b>broken" not in page.text


def test_it_answers_without_a_code(house: House, browser: Browser, acme: Upstream) -> None:
    acme.answers = {"code": None}
    refused(house, signs_in(browser), "came from somewhere else", "no code")


# What its token endpoint says -------------------------------------------------------------------------------------------

HTML = (200, {"Content-Type": "text/html"}, b"<!doctype html><title>Sign in</title>")
AWAY = "does not answer properly"


@pytest.mark.parametrize(
    ("reply", "words", "because", "status"),
    [
        (as_json({"error": "invalid_grant"}, 400), "Acme refused", "invalid_grant", 400),
        (as_json({"error": "invalid_client"}, 401), "Acme refused", "invalid_client", 400),
        (as_json({"error": ["a", "list"]}, 400), "Acme refused", "a", 400),
        (as_json({"error": "a\0b", "error_description": "\0"}, 400), "Acme refused", "ab", 400),
        (HTML, AWAY, "cannot be understood", 503),
        ((502, {"Content-Type": "text/html"}, b"<h1>Bad gateway</h1>"), AWAY, "status 502", 503),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), AWAY, "it", 503),
        ((200, {}, b""), AWAY, "cannot be understood", 503),
        (as_json([]), AWAY, "cannot be understood", 503),
        (as_json({}), AWAY, "without access_token", 503),
        (as_json({"access_token": 7, "token_type": "Bearer"}), AWAY, "access_token", 503),
        (as_json({"access_token": "a\r\nX: y", "token_type": "Bearer"}), AWAY, "access_token", 503),
        (as_json({"access_token": "a" * 20_000, "token_type": "Bearer"}), AWAY, "access_token", 503),
        (as_json({"access_token": "a", "token_type": "DPoP"}), AWAY, "token_type", 503),
        ((200, {"Content-Type": "application/json"}, b"[" * 100_000), AWAY, "it", 503),
        ((200, {"Content-Type": "application/json"}, b'"' + b"x" * 5_000_000 + b'"'), AWAY, "it", 503),
        (as_json({"access_token": "a", "token_type": "Bearer"}), "does not hold", "no id_token", 400),
    ],
)
def test_a_token_endpoint_that_is_none(
    house: House, browser: Browser, acme: Upstream, reply: Any, words: str, because: str, status: int
) -> None:
    acme.replies["/token"] = reply
    refused(house, signs_in(browser), words, because, status)


def test_nobody_is_there(house: House, browser: Browser, acme: Upstream) -> None:
    """The metadata are known, and the host is gone."""
    way_back = answered(sent_to(browser))
    acme.replies["/token"] = (200, {"Content-Length": "100", "Content-Type": "application/json"}, b"{")
    began = time.monotonic()
    page = browser.open(way_back)
    assert page.headers["retry-after"] == "30"
    refused(house, page, AWAY, "", 503)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
def test_metadata_of_somebody_else(house: House, browser: Browser, acme: Upstream, metadata: dict[str, Any]) -> None:
    """RFC 8414 §3.3, OIDC Discovery §4.3: nobody is sent anywhere."""
    acme.metadata = metadata
    page = browser.open("/login")
    page = browser.send("/login/provider", csrf=page.field("csrf"), req="", provider="acme")
    refused(house, page, AWAY, "its metadata cannot be had", 503)


def test_metadata_that_cannot_be_had(house: House, browser: Browser, acme: Upstream) -> None:
    acme.replies["/.well-known/openid-configuration"] = HTML
    page = browser.open("/login")
    page = browser.send("/login/provider", csrf=page.field("csrf"), req="", provider="acme")
    refused(house, page, AWAY, "its metadata cannot be had", 503)


# What its id_token says --------------------------------------------------------------------------------------------------

HOLDS = "The answer of Acme does not hold"


@pytest.mark.parametrize(
    ("claims", "because"),
    [
        ({"aud": "somebody-else"}, "another audience"),
        ({"aud": [CLIENT, "another"]}, "(azp)"),
        ({"aud": []}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"azp": "another"}, "(azp)"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["a"]}, "nonce"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "when it was issued"),
        ({"exp": "soon"}, "when it was issued"),
        ({"iat": 9999999999}, "not valid yet"),
        ({"iat": None}, "when it was issued"),
        ({"nbf": 9999999999}, "not valid yet"),
        ({"sub": None}, "no sub"),
        ({"sub": ""}, "no sub"),
        ({"sub": "x" * 256}, "no sub"),
        ({"sub": 7}, "no sub"),
        ({"at_hash": "wrong"}, "at_hash"),
    ],
)
def test_claims_that_do_not_hold(
    house: House, browser: Browser, acme: Upstream, claims: dict[str, Any], because: str
) -> None:
    """OIDC Core §3.1.3.7."""
    acme.claims = claims
    refused(house, signs_in(browser), HOLDS, because)


@pytest.mark.parametrize("claims", [{"nonce": "another"}, {"aud": "another"}, {"iss": "https://evil.example"}])
@pytest.mark.parametrize("purpose", ["connect", "link"])
def test_they_hold_for_nothing_else_either(
    house: House, browser: Browser, acme: Upstream, purpose: str, claims: dict[str, Any]
) -> None:
    """Connecting an account, and linking one to an account here."""
    browser.sign_in(email="owner@example.com")
    way = {"connect": ("/connect/acme", "/connect/acme"), "link": ("/account/services", "/account/services/link")}
    page = browser.open(way[purpose][0])
    left = browser.send(way[purpose][1], csrf=page.field("csrf"), scope="", provider="acme").left_to
    acme.claims = claims
    page = browser.open(answered(left or ""))
    assert (page.status, HOLDS in page.text) == (400, True), page.text
    for table in ("identities", "upstream_accounts"):
        assert house.sql(f"SELECT count(*) FROM {table}") == [(0,)]
    [(detail,)] = house.sql("SELECT detail FROM audit_events WHERE event = 'upstream.refused'")
    assert detail["purpose"] == purpose  # type: ignore[index]


@pytest.mark.parametrize("purpose", ["connect", "link"])
def test_nor_does_an_answer_of_another_browser(house: House, browser: Browser, acme: Upstream, purpose: str) -> None:
    """Somebody's own answer, opened by the owner: nothing of theirs is connected or linked to the owner's account."""
    house.add_user("eve@example.com")
    eve = Browser(house.url)
    eve.sign_in(email="eve@example.com")
    browser.sign_in(email="owner@example.com")
    path = "/connect/acme" if purpose == "connect" else "/account/services/link"

    def leaves(who: Browser) -> str:
        token = who.open("/account/services").field("csrf")
        return who.send(path, csrf=token, scope="", provider="acme").left_to or ""

    left, _ = leaves(eve), leaves(browser)  # who is under way, too
    page = browser.open(answered(left))
    assert (page.status, "This began in another browser" in page.text) == (400, True), page.text
    for table in ("identities", "upstream_accounts"):
        assert house.sql(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_key_that_is_not_its(house: House, browser: Browser, acme: Upstream) -> None:
    acme.signs_with = Signer(kid=acme.signer.kid)
    refused(house, signs_in(browser), HOLDS, "not signed with a key of its issuer")


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_an_algorithm_that_proves_nothing(house: House, browser: Browser, acme: Upstream, alg: str) -> None:
    """RFC 8725 §3.1: no signature, or one with what anybody can read in the key set, or with our own secret."""

    class Forger(Signer):
        def sign(self, claims: dict[str, Any], **header: Any) -> str:
            return jwt.encode(claims, "" if alg == "none" else SECRET * 3, alg, {"kid": acme.signer.kid})

    acme.signs_with = Forger()
    refused(house, signs_in(browser), HOLDS, "another algorithm")


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 20_000, 7, {"a": 1}, None])
def test_an_id_token_that_is_none(house: House, browser: Browser, acme: Upstream, token: Any) -> None:
    acme.replies["/token"] = as_json({"access_token": "a", "token_type": "Bearer", "id_token": token})
    page = signs_in(browser)
    assert page.status in (400, 503)
    assert house.sql("SELECT count(*) FROM identities") == [(0,)]
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'upstream.refused'") == [(1,)]


def test_keys_that_cannot_be_had(house: House, browser: Browser, acme: Upstream) -> None:
    acme.replies["/keys"] = HTML
    refused(house, signs_in(browser), AWAY, "its keys cannot be had", 503)


@pytest.mark.parametrize(
    "reply", [HTML, as_json({}), as_json([]), as_json({"sub": None}), as_json({"sub": True}), as_json({}, 500)]
)
def test_a_profile_that_is_none(house: House, browser: Browser, acme: Upstream, reply: Any) -> None:
    acme.replies["/userinfo"] = reply
    page = signs_in(browser, "plain")
    assert page.status in (400, 503)
    assert house.sql("SELECT count(*) FROM identities") == [(0,)]
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'upstream.refused'") == [(1,)]


# Whose form it is --------------------------------------------------------------------------------------------------------


def test_nobody_is_sent_away_by_a_form_of_others(house: House, browser: Browser, acme: Upstream) -> None:
    browser.open("/login")
    assert browser.send("/login/provider", csrf="x", req="", provider="acme").status == 403
    token = browser.open("/login").field("csrf")
    page = browser.send("/login/provider", {"Origin": "https://evil.example"}, csrf=token, req="", provider="acme")
    assert page.status == 403
    assert house.sql("SELECT count(*) FROM upstream_flows") == [(0,)]


@pytest.mark.parametrize(
    "req", ["//evil.example", "https://evil.example", "~//evil.example", "~/connect/../evil", "@x"]
)
def test_nobody_is_led_elsewhere(house: House, browser: Browser, acme: Upstream, req: str) -> None:
    page = browser.open("/login")
    left = browser.send("/login/provider", csrf=page.field("csrf"), req=req, provider="acme").left_to
    page = browser.open(answered(left or ""))
    assert page.left_to is None


def test_the_first_answer_wins(house: House, browser: Browser, acme: Upstream) -> None:
    """Of the same answer opened many times at once, one is redeemed."""
    way_back = answered(sent_to(browser))
    cookies = dict(browser.http.cookies)
    statuses: list[int] = []

    def come_back(client: httpx2.Client) -> None:
        statuses.append(client.get(way_back).status_code)

    threads = [threading.Thread(target=come_back, args=(http(cookies=cookies),)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [303] + [400] * 19
    assert acme.grants["authorization_code"] == 1


def test_too_many_ways_back(house: House, browser: Browser) -> None:
    """The log cannot be filled with answers that nobody asked for."""
    browser.open("/callback/acme?state=x&code=y")
    house.sql("UPDATE rate_counters SET hits = 300 WHERE key LIKE 'upstream:%'")
    page = browser.open("/callback/acme?state=x&code=y")
    assert page.status == 429
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'upstream.refused'") == [(1,)]


def test_the_state_goes_no_further(house: House, browser: Browser, acme: Upstream) -> None:
    """What is sent away has nothing of the pending request or of us in it."""
    parts = urlsplit(sent_to(browser))
    assert urlunsplit(parts._replace(query="")) == f"{acme.url}/authorize"
    assert set(parse_qs(parts.query)) == {
        "response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method", "scope", "nonce",
    }  # fmt: skip
