"""WebAuthn Level 3: the two ceremonies step by step, with an authenticator of our own that does one thing wrong at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.tokens.secrets import b64
from tests.actors import App, Browser
from tests.authenticators import ADD, BE, BS, UP, UV, Authenticator, add, answer, options, sign_in
from tests.conftest import House

REFUSED = [
    pytest.param({"client": {"origin": "https://evil.example"}}, id="another origin"),
    pytest.param({"client": {"origin": "http://localhost"}}, id="another port"),
    pytest.param({"client": {"challenge": b64(b"x" * 36)}}, id="a challenge of its own"),
    pytest.param({"client": {"type": "webauthn.create"}}, id="the other ceremony"),
    pytest.param({"client": {"type": "payment.get"}}, id="some ceremony"),
    pytest.param({"client": {"crossOrigin": True}}, id="inside another site's frame"),
    pytest.param({"rp_id": "evil.example"}, id="another RP ID"),
    pytest.param({"flags": UP}, id="user not verified"),
    pytest.param({"flags": UV}, id="user not present"),
    pytest.param({"flags": UP | UV | BS}, id="backed up though not eligible"),
]


@pytest.fixture
def ada(house: House, browser: Browser) -> str:
    """ada@example.com, signed in here."""
    user_id = house.add_user()
    browser.sign_in()
    return user_id


def refusals(house: House) -> list[Any]:
    return [
        row[0]
        for row in house.sql("SELECT detail->>'why' FROM audit_events WHERE event = 'passkey.refused' ORDER BY id")
    ]


@pytest.mark.parametrize("algorithm", [-7, -257, -8], ids=["ES256", "RS256", "EdDSA"])
def test_register_and_sign_in(house: House, browser: Browser, ada: str, algorithm: int) -> None:
    """§7.1 and §7.2: made on one browser, it signs in on another with nothing typed."""
    passkey = Authenticator(house.url, algorithm)
    page = add(browser, passkey, "work laptop")
    assert page.url.endswith("/account/security#passkeys")
    assert "work laptop" in page.text
    assert "never used" in page.text
    other = Browser(house.url)
    assert sign_in(other, passkey).url.endswith("/account")
    assert "last used" in other.open("/account/security").text
    assert house.sql("SELECT method FROM browser_sessions WHERE user_id = :id ORDER BY created_at", id=ada) == [
        ("password",),
        ("passkey",),
    ]


def test_what_is_asked_for(house: House, browser: Browser, ada: str) -> None:
    """§5.4, §5.5: discoverable, the user verified, no attestation; nothing about accounts before somebody signed in."""
    asked = options(browser.open(ADD))
    assert asked["rp"] == {"name": "Gatehouse", "id": "localhost"}
    assert asked["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert [one["alg"] for one in asked["pubKeyCredParams"]] == [-8, -7, -257]
    assert asked["attestation"] == "none"
    assert asked["user"]["id"] == b64(ada.encode()), "no e-mail in the handle (§14.6.1)"
    assert asked["excludeCredentials"] == []
    passkey = Authenticator(house.url)
    add(browser, passkey)
    again = options(browser.open(ADD))
    assert [one["id"] for one in again["excludeCredentials"]] == [b64(passkey.credential_id)]
    assert again["excludeCredentials"][0]["transports"] == ["internal", "hybrid"]
    stranger = options(Browser(house.url).open("/login"))
    assert stranger["allowCredentials"] == []
    assert (stranger["rpId"], stranger["userVerification"]) == ("localhost", "required")
    assert len({options(Browser(house.url).open("/login"))["challenge"] for _ in range(3)}) == 3


@pytest.mark.parametrize("wrong", [*REFUSED, pytest.param({"signature": b"0" * 70}, id="a forged signature")])
def test_an_unsound_answer_does_not_sign_in(house: House, browser: Browser, ada: str, wrong: dict[str, Any]) -> None:
    """§7.2, steps 10 to 21."""
    passkey = Authenticator(house.url)
    add(browser, passkey)
    other = Browser(house.url)
    page = sign_in(other, passkey, **wrong)
    assert page.status == 400
    assert "could not be verified" in page.text
    assert "/login" in other.open("/account").url
    assert len(refusals(house)) == 1
    assert sign_in(other, passkey, page).url.endswith("/account"), "the page that says so lets one try again"


@pytest.mark.parametrize(
    "wrong", [param for param in REFUSED if param.id not in ("the other ceremony",)]
    + [pytest.param({"client": {"type": "webauthn.get"}}, id="the other ceremony")]
)  # fmt: skip
def test_an_unsound_answer_is_not_registered(house: House, browser: Browser, ada: str, wrong: dict[str, Any]) -> None:
    """§7.1, steps 7 to 16."""
    page = add(browser, Authenticator(house.url), **wrong)
    assert page.status == 400
    assert "could not be verified" in page.text
    assert house.sql("SELECT count(*) FROM passkeys") == [(0,)]


def test_a_challenge_is_good_once(house: House, browser: Browser, ada: str) -> None:
    """§13.4.3: the very same answer, sent again from the same browser, is worth nothing."""
    passkey = Authenticator(house.url, steps=0)
    page = browser.open(ADD)
    answer(browser, ADD, page, passkey.create(options(page)))
    first, passkey.credential_id = passkey.credential_id, b"another one"
    assert "used already" in answer(browser, ADD, page, passkey.create(options(page))).text
    other = Browser(house.url)
    page = other.open("/login")
    before = dict(other.http.cookies)
    passkey.credential_id = first
    proof = passkey.get(options(page))
    assert answer(other, "/login/passkey", page, proof).url.endswith("/account")
    thief = Browser(house.url)
    thief.http.cookies.update(before)
    assert "used already" in answer(thief, "/login/passkey", page, proof).text
    assert "/login" in thief.open("/account").url


def test_a_challenge_is_of_one_browser_one_use_and_one_hour(house: House, browser: Browser, ada: str) -> None:
    passkey = Authenticator(house.url)
    add(browser, passkey)
    other = Browser(house.url)
    theirs, mine = Browser(house.url).open("/login"), other.open("/login")
    given = {"csrf": mine.field("csrf"), "req": ""}
    for_theirs = passkey.get(options(theirs))
    swapped = other.send("/login/passkey", challenge=theirs.field("challenge"), credential=for_theirs, **given)
    assert swapped.status == 400
    to_register = browser.open(ADD)
    asked = {"challenge": to_register.field("challenge")}
    given = {"csrf": to_register.field("csrf"), "req": ""}
    assert browser.send("/login/passkey", credential=passkey.get(asked), **asked, **given).status == 400
    house.turn_clock(minutes=31)
    assert answer(other, "/login/passkey", mine, passkey.get(options(mine))).status == 400
    assert refusals(house) == ["challenge too old or used"] * 3


@pytest.mark.parametrize("steps", [1, 7])
def test_a_copy_is_noticed_by_its_counter(house: House, browser: Browser, ada: str, steps: int) -> None:
    """§7.2 step 22, §6.1.1: a counter that does not grow; the signature is right."""
    passkey = Authenticator(house.url, steps=steps)
    add(browser, passkey)
    sign_in(Browser(house.url), passkey)
    for count in (0, steps - 1, steps):
        page = sign_in(Browser(house.url), passkey, sign_count=count)
        assert page.status == 400
        assert "seems to have been copied" in page.text
    assert (
        house.sql("SELECT detail->>'why', user_id FROM audit_events WHERE event = 'passkey.refused' ORDER BY id")
        == [("its counter did not grow", ada)] * 3
    )
    assert sign_in(Browser(house.url), passkey, sign_count=steps + 1).url.endswith("/account")


def test_an_authenticator_without_a_counter(house: House, browser: Browser, ada: str) -> None:
    """Synced passkeys say 0 for ever."""
    passkey = Authenticator(house.url, steps=0, flags=UP | UV | BE | BS)
    add(browser, passkey)
    assert "Synced by your password manager" in browser.open("/account/security").text
    for _ in range(2):
        assert sign_in(Browser(house.url), passkey).url.endswith("/account")


def test_the_handle_must_be_its_owners(house: House, browser: Browser, ada: str) -> None:
    """§7.2 step 6: present where nobody was known before, and the credential's owner in any case."""
    bob = house.add_user("bob@example.com")
    passkey = Authenticator(house.url)
    add(browser, passkey)
    assert sign_in(Browser(house.url), passkey, user_handle=bob.encode()).status == 400
    assert sign_in(Browser(house.url), passkey, user_handle=b"").status == 400
    assert refusals(house) == ["the passkey says that it is somebody else's", "the passkey does not say whose it is"]


def test_one_credential_is_one_account_s(house: House, browser: Browser, ada: str) -> None:
    """§7.1 step 26: nobody registers what somebody has."""
    passkey = Authenticator(house.url)
    add(browser, passkey)
    assert "is here already" in add(browser, passkey).text
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    assert add(bob, passkey).status == 400
    assert house.sql("SELECT user_id FROM passkeys") == [(ada,)]


def test_a_removed_or_disabled_one_signs_nobody_in(house: House, browser: Browser, ada: str) -> None:
    first, second = Authenticator(house.url), Authenticator(house.url)
    add(browser, first, "first")
    page = add(browser, second, "second")
    assert page.text.count("Remove</button>") == 2
    browser.send(f"{ADD}/remove", csrf=page.field("csrf"), id=page.field("id"))
    assert house.sql("SELECT name FROM passkeys") == [("second",)]
    assert "not known here" in sign_in(Browser(house.url), first).text
    house.operator("user", "disable", "ada@example.com")
    assert "not known here" in sign_in(Browser(house.url), second).text


def test_another_s_passkey_cannot_be_removed(house: House, browser: Browser, ada: str) -> None:
    page = add(browser, Authenticator(house.url))
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    csrf = bob.sign_in(email="bob@example.com").field("csrf")
    bob.send(f"{ADD}/remove", csrf=csrf, id=page.field("id"))
    assert house.sql("SELECT count(*) FROM passkeys") == [(1,)]


def test_twenty_are_the_most(house: House, browser: Browser, ada: str) -> None:
    house.sql(
        "INSERT INTO passkeys SELECT int4send(n), 'pk_' || n, :id, 'x', '', 0, '{}', false, now() "
        "FROM generate_series(1, 20) n",
        id=ada,
    )
    page = browser.open(ADD)
    assert "20 passkeys, which is the most" in page.text
    assert "data-options" not in page.text, "said before one is made in vain"
    house.sql("DELETE FROM passkeys WHERE id = 'pk_7'")
    page = browser.open(ADD)
    house.sql("INSERT INTO passkeys SELECT '', 'pk_7', :id, 'x', '', 0, '{}', false, now()", id=ada)
    late = answer(browser, ADD, page, Authenticator(house.url).create(options(page)), name="one more")
    assert late.status == 400
    assert house.sql("SELECT count(*) FROM passkeys") == [(20,)]


HOSTILE = [
    "",
    "x",
    "[]",
    "{}",
    "[" * 5000,
    '{"response": 7}',
    '{"response": {}}',
    '{"id": 7, "response": {"clientDataJSON": 7}}',
    '{"id": "\\ud800", "rawId": "\\ud800", "type": "public-key", "response": {"clientDataJSON": "\\ud800"}}',
    json.dumps({"id": "AAAA", "rawId": "AAAA", "type": "x", "response": {"clientDataJSON": b64(b"[" * 9000)}}),
    json.dumps({"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": b64(b"\xff\0")}}),
]


@pytest.mark.parametrize("credential", HOSTILE, ids=range(len(HOSTILE)))
def test_nonsense_is_refused_in_words(house: House, browser: Browser, ada: str, credential: str) -> None:
    page = browser.open("/login")
    assert answer(browser, "/login/passkey", page, credential).status == 400
    page = browser.open(ADD)
    assert answer(browser, ADD, page, credential).status == 400


def test_broken_cbor_is_refused_in_words(house: House, browser: Browser, ada: str) -> None:
    """The parsers of attestation and authenticator data see hostile bytes."""
    passkey = Authenticator(house.url)
    add(browser, passkey)
    for broken in (b"", b"\xa1", b"\xbf" * 3000, b"\x9f" * 60000, b"\xff" * 37, bytes(36), bytes(37), bytes(100)):
        page = browser.open(ADD)
        made = json.loads(passkey.create(options(page)))
        made["response"]["attestationObject"] = b64(broken[:30000])
        assert answer(browser, ADD, page, json.dumps(made)).status == 400
        stranger = Browser(house.url)
        page = stranger.open("/login")
        proof = json.loads(passkey.get(options(page)))
        proof["response"]["authenticatorData"] = b64(broken[:30000])
        assert answer(stranger, "/login/passkey", page, json.dumps(proof)).status == 400


def test_a_passkey_goes_on_with_the_app_s_request(app: App, browser: Browser, house: House) -> None:
    browser.sign_in()
    passkey = Authenticator(house.url)
    add(browser, passkey)
    other = Browser(house.url)
    page = sign_in(other, passkey, other.open(app.authorize_url()))
    assert "/consent" in page.url
    assert other.decide(page).answer["state"] == "xyz"
