"""Signing in with a service elsewhere: to a new account, to one that was linked, to one that has to be proven, and not at all."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.actors import App, Browser
from tests.conftest import House
from tests.upstreams import Upstream, answered, sent_to, signs_in


def identities(house: House) -> list[tuple[Any, ...]]:
    return house.sql(
        "SELECT u.email, i.issuer, i.subject, i.provider FROM identities i JOIN users u ON u.id = i.user_id"
    )


def events(house: House, event: str) -> list[Any]:
    return [
        row[0] for row in house.sql("SELECT detail FROM audit_events WHERE event = :event ORDER BY id", event=event)
    ]


def who(browser: Browser) -> str | None:
    page = browser.open("/account")
    return None if "/login" in page.url else page.text


def test_a_newcomer_gets_an_account(house: House, browser: Browser, acme: Upstream) -> None:
    """OIDC Core §3.1: under the policy of this server, which lets anybody in; the address is known to be theirs."""
    house.add_user("owner@example.com", admin=True)
    page = signs_in(browser)
    assert page.url.endswith("/account"), page.text
    assert "Ada Lovelace" in page.text
    assert identities(house) == [("ada@example.com", acme.url, "248289761001", "acme")]
    assert house.sql("SELECT email_verified_at IS NOT NULL, is_admin FROM users WHERE email = 'ada@example.com'") == [
        (True, False)
    ]
    assert house.sql("SELECT method FROM browser_sessions") == [("provider",)]


def test_what_is_asked_for(house: House, browser: Browser, acme: Upstream) -> None:
    """RFC 7636 §4.3, RFC 6749 §4.1.1, OIDC Core §3.1.2.1: PKCE, a state and a nonce of its own, exactly our callback."""
    url = sent_to(browser)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{house.url}/callback/acme"
    assert asked["scope"] == "openid email profile"
    again = {name: values[0] for name, values in parse_qs(urlsplit(sent_to(browser)).query).items()}
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) >= 43
        assert asked[name] != again[name]
    # Nothing in the database opens the flow: the state is there as its fingerprint, the rest is sealed.
    stored = repr(house.sql("SELECT * FROM upstream_flows"))
    assert asked["state"] not in stored
    assert asked["nonce"] not in stored


def test_the_same_person_comes_back(house: House, acme: Upstream) -> None:
    """By issuer and subject, whatever address they have by now (OIDC Core §5.7)."""
    house.add_user("owner@example.com")
    signs_in(Browser(house.url))
    acme.person["email"] = "countess@example.com"
    page = signs_in(Browser(house.url))
    assert page.url.endswith("/account")
    assert len(house.sql("SELECT 1 FROM users")) == 2
    assert len(identities(house)) == 1


def test_it_goes_on_with_what_was_interrupted(house: House, browser: Browser, acme: Upstream) -> None:
    """The pending authorization survives the way there and back; consent is asked as ever."""
    house.add_user("owner@example.com")
    app = App(house.url)
    app.register()
    page = browser.open(app.authorize_url())
    page = signs_in(browser, page=page)
    assert "/consent" in page.url, page.text
    answer = browser.decide(page).answer
    assert answer["state"] == "xyz"
    assert app.redeem(answer["code"]).status_code == 200


def test_an_account_with_that_address_has_to_be_proven(house: House, browser: Browser, acme: Upstream) -> None:
    """A verified address finds the account, and opens nothing: its owner signs in to it too, and says so."""
    house.add_user("ada@example.com")
    page = signs_in(browser)
    assert (page.status, "Is this account yours, too?" in page.text) == (409, True)
    assert who(browser) is None
    assert identities(house) == []
    page = browser.sign_in(browser.open("/login?req=~/account/link"))
    assert page.url.endswith("/account/link"), page.text
    assert identities(house) == []
    page = browser.send("/account/link", csrf=page.field("csrf"))
    assert page.url.endswith("/account/services?done=linked")
    assert identities(house) == [("ada@example.com", acme.url, "248289761001", "acme")]
    assert signs_in(Browser(house.url)).url.endswith("/account")
    assert events(house, "identity.bound") == [{"issuer": acme.url, "subject": "248289761001"}]


def test_the_proof_goes_on_with_the_app(house: House, browser: Browser, acme: Upstream) -> None:
    house.add_user("ada@example.com")
    app = App(house.url)
    app.register()
    signs_in(browser, page=browser.open(app.authorize_url()))
    page = browser.sign_in(browser.open("/login?req=~/account/link"))
    assert "/consent" in browser.send("/account/link", csrf=page.field("csrf")).url


def test_a_proof_is_for_one_browser_and_one_account(house: House, browser: Browser, acme: Upstream) -> None:
    """Who signs in to another account, or elsewhere, links nothing."""
    house.add_user("ada@example.com")
    house.add_user("eve@example.com")
    signs_in(browser)
    page = browser.sign_in(browser.open("/login?req=~/account/link"), email="eve@example.com")
    assert "Nothing was linked" in page.text
    token = browser.open("/account/services").field("csrf")
    browser.send("/account/link", csrf=token)
    assert identities(house) == []
    other = Browser(house.url)
    page = other.sign_in(other.open("/login?req=~/account/link"))
    assert "There is nothing to link" in page.text
    house.turn_clock(minutes=16)
    page = browser.sign_in(browser.open("/login?req=~/account/link"))
    assert "There is nothing to link" in page.text


def test_a_second_step_is_asked_after_it(house: House, browser: Browser, acme: Upstream) -> None:
    """The service is one proof; whoever turned the second step on is asked for it."""
    from tests import factors

    house.add_user("owner@example.com")
    signs_in(browser)
    house.sql(
        "INSERT INTO passwords (user_id, hash, changed_at) SELECT id, 'x', now() FROM users WHERE email LIKE 'ada%'"
    )
    factors.set_up(house, browser)
    page = signs_in(Browser(house.url))
    assert "/login/second" in page.url


@pytest.mark.parametrize(
    ("changed", "heading"),
    [
        ({"email_verified": False}, "not verified at Acme"),
        ({"email_verified": "no"}, "not verified at Acme"),
        ({"email_verified": None}, "not verified at Acme"),
        ({"email": "not an address"}, "not verified at Acme"),
        ({"email": None}, "not verified at Acme"),
    ],
)
def test_hearsay_makes_no_account(
    house: House, browser: Browser, acme: Upstream, changed: dict[str, Any], heading: str
) -> None:
    house.add_user("owner@example.com")
    house.add_user("ada@example.com")
    acme.person |= changed
    page = signs_in(browser)
    assert (page.status, heading in page.text) == (403, True)
    assert identities(house) == []
    assert len(house.sql("SELECT 1 FROM users")) == 2
    assert [event["because"] for event in events(house, "upstream.refused")] == [
        "it does not say that the e-mail address is verified"
    ]


def test_a_plain_oauth_service(house: House, browser: Browser, acme: Upstream) -> None:
    """Without id_token the profile says who it is, under the name of its origin (RFC 6749 §4.1)."""
    house.add_user("owner@example.com")
    page = signs_in(browser, "plain")
    assert page.url.endswith("/account"), page.text
    assert identities(house) == [("ada@example.com", acme.url, "248289761001", "plain")]


def test_an_address_in_the_userinfo_alone(house: House, browser: Browser, acme: Upstream) -> None:
    """OIDC Core §5.3.2: asked for when the id_token has none, and about the same person."""
    house.add_user("owner@example.com")
    acme.claims = {"email": None, "email_verified": None}
    assert signs_in(browser).url.endswith("/account")
    acme.claims["sub"] = "somebody else"
    page = signs_in(Browser(house.url))
    assert "does not hold" in page.text
    assert len(identities(house)) == 1


def test_a_disabled_account_stays_out(house: House, browser: Browser, acme: Upstream) -> None:
    house.add_user("owner@example.com")
    signs_in(browser)
    house.operator("user", "disable", "ada@example.com")
    page = signs_in(Browser(house.url))
    assert page.status == 403
    assert house.sql("SELECT 1 FROM browser_sessions") == []


def test_before_there_is_an_owner_nobody_joins(house: House, browser: Browser, acme: Upstream) -> None:
    page = signs_in(browser)
    assert (page.status, "You have no account here" in page.text) == (403, True)
    assert house.sql("SELECT 1 FROM users") == []


def test_an_assertion_s_identity_does_not_sign_in(house: House, browser: Browser, acme: Upstream) -> None:
    """What ID-JAG has bound by an address was never proven in a browser; what the operator says is enough."""
    house.add_user("ada@example.com")
    house.sql(
        "INSERT INTO identities (issuer, subject, user_id, created_at) SELECT :issuer, '248289761001', id, now() FROM users",
        issuer=acme.url,
    )
    assert signs_in(browser).status == 409
    house.sql("DELETE FROM identities")
    house.operator("identity", "add", "ada@example.com", "--issuer", acme.url, "--subject", "248289761001")
    assert signs_in(Browser(house.url)).url.endswith("/account")


def test_linking_and_unlinking(house: House, browser: Browser, acme: Upstream) -> None:
    """From one's own account, whatever the address elsewhere is: both are proven. The last way in stays."""
    house.add_user("ada@example.com")
    acme.person |= {"email": "ada@acme.example", "email_verified": False}
    browser.sign_in()
    page = browser.open("/account/services")
    left = browser.send("/account/services/link", csrf=page.field("csrf"), provider="acme").left_to
    assert left
    page = browser.open(answered(left))
    assert "From now on you can sign in with it." in page.text
    assert "ada@acme.example" in page.text
    assert signs_in(Browser(house.url)).url.endswith("/account")
    house.sql("DELETE FROM passwords")
    fields = {name: page.field(name) for name in ("csrf", "issuer", "subject")}
    assert "It is the only way in" in browser.send("/account/services/unlink", **fields).text
    house.sql("INSERT INTO passwords (user_id, hash, changed_at) SELECT id, 'x', now() FROM users")
    assert "You cannot sign in with it any more." in browser.send("/account/services/unlink", **fields).text
    assert identities(house) == []
    assert events(house, "identity.removed") == [{"issuer": acme.url, "subject": "248289761001"}]


def test_one_account_elsewhere_is_one_here(house: House, browser: Browser, acme: Upstream) -> None:
    house.add_user("owner@example.com")
    house.add_user("eve@example.com")
    signs_in(Browser(house.url))
    browser.sign_in(email="eve@example.com")
    page = browser.open("/account/services")
    left = browser.send("/account/services/link", csrf=page.field("csrf"), provider="acme").left_to
    page = browser.open(answered(left or ""))
    assert (page.status, "linked already" in page.text) == (409, True)
    assert [row[0] for row in identities(house)] == ["ada@example.com"]


def test_linking_stops_when_somebody_else_has_signed_in(house: House, browser: Browser, acme: Upstream) -> None:
    house.add_user("ada@example.com")
    house.add_user("eve@example.com")
    browser.sign_in()
    page = browser.open("/account/services")
    left = browser.send("/account/services/link", csrf=page.field("csrf"), provider="acme").left_to
    browser.sign_in(email="eve@example.com")
    page = browser.open(answered(left or ""))
    assert (page.status, "Somebody else is signed in" in page.text) == (403, True)
    assert identities(house) == []
