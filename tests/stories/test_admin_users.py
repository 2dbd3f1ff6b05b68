"""Admins and accounts: found, added, disabled, promoted, signed out, deleted; the last admin stays."""

from __future__ import annotations

import pytest

from tests.actors import App, Browser
from tests.admins import AdminBrowser, Api, admin_key, events
from tests.conftest import House
from tests.factors import set_up


@pytest.fixture
def bob(house: House) -> str:
    house.add_user(admin=True)
    return house.add_user("bob@example.com")


@pytest.fixture
def ada(house: House, bob: str) -> AdminBrowser:
    return AdminBrowser(house)


def test_somebody_is_added_with_a_link_that_is_shown_once(house: House, ada: AdminBrowser) -> None:
    link = ada.once("/admin/users", "/admin/users/add", "link", email="Carol@Example.com", name="Carol", admin="yes")
    carol = Browser(house.url)
    page = carol.open(link)
    done = carol.send("/password", csrf=page.field("csrf"), code=page.field("code"), password="some words that fit")
    assert done.url.endswith("/account")
    assert carol.open("/admin").status == 200
    assert house.sql("SELECT email, name, is_admin FROM users WHERE email LIKE 'carol%'") == [
        ("carol@example.com", "Carol", True)
    ]
    assert len(events(house, "user.created")) == 3


def test_a_faulty_form_says_why_and_keeps_what_was_typed(house: House, ada: AdminBrowser) -> None:
    wrong = ada.press("/admin/users", "/admin/users/add", email="no <address>", name="Carol")
    assert wrong.status == 400
    assert 'value="no &lt;address&gt;" aria-invalid="true"' in wrong.text
    assert 'value="Carol"' in wrong.text
    assert "does not look like an e-mail address" in wrong.text
    assert 'aria-describedby="fault"' in wrong.text
    taken = ada.press("/admin/users", "/admin/users/add", email="bob@example.com")
    assert taken.status == 409
    assert "has an account already" in taken.text


def test_they_are_found_by_the_beginning_of_e_mail_or_name(house: House, ada: AdminBrowser) -> None:
    house.sql("UPDATE users SET name = 'Robert 100%' WHERE email = 'bob@example.com'")
    for words in ("BOB@", "rob", "robert 100%25"):
        page = ada.open(f"/admin/users?q={words}").text
        assert "bob@example.com" in page, words
        assert "ada@example.com</bdi>" not in page
    assert "Nobody is found" in ada.open("/admin/users?q=%25").text, "wildcards are plain letters"
    assert "bob@example.com" not in ada.open("/admin/users?kind=admins").text


def test_disabled_is_out_everywhere_within_a_second_and_enabled_again(
    house: House, ada: AdminBrowser, bob: str
) -> None:
    app, theirs = App(house.url), Browser(house.url)
    app.register()
    theirs.sign_in(email="bob@example.com")
    tokens = app.connect(theirs)
    page = ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/disable")
    assert "The account is disabled" in page.text
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).status_code == 400
    assert "/login" in theirs.open("/account").url
    house.turn_clock(seconds=3)
    ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/enable")
    renewed = app.refresh(tokens["refresh_token"]).json()
    assert app.call("whoami", renewed["access_token"]).status_code == 200
    assert [row[0] for row in events(house, "user.disabled") + events(house, "user.enabled")] == [bob, bob]


def test_admins_are_made_and_unmade(house: House, ada: AdminBrowser, bob: str) -> None:
    ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/promote")
    theirs = AdminBrowser(house, "bob@example.com")
    assert theirs.open("/admin").status == 200
    ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/demote")
    assert theirs.open("/admin").status == 404
    assert [row[0] for row in events(house, "user.promoted") + events(house, "user.demoted")] == [bob, bob]


def test_the_last_admin_stays(house: House, ada: AdminBrowser, bob: str) -> None:
    own = str(house.sql("SELECT id FROM users WHERE is_admin")[0][0])
    refused = ada.press(f"/admin/users/{own}", f"/admin/users/{own}/demote")
    assert refused.status == 409
    assert "the last admin who can sign in" in refused.text
    csrf = ada.open(f"/admin/users/{own}").field("csrf")
    for deed in ("disable", "delete"):
        assert ada.send(f"/admin/users/{own}/{deed}", csrf=csrf, email="ada@example.com").status == 409
    house.sql("UPDATE users SET is_admin = true, disabled_at = now() WHERE id = :id", id=bob)
    assert ada.press(f"/admin/users/{own}", f"/admin/users/{own}/demote").status == 409, "a disabled admin is none"
    house.sql("UPDATE users SET disabled_at = NULL WHERE id = :id", id=bob)
    assert ada.press(f"/admin/users/{own}", f"/admin/users/{own}/demote").url.startswith(f"{house.url}/account")
    assert house.sql("SELECT id FROM users WHERE is_admin") == [(bob,)]
    assert len(events(house, "user.demoted")) == 1, "a refusal changes nothing, and says so nowhere"


def test_nobody_disables_or_deletes_themselves(house: House, ada: AdminBrowser, bob: str) -> None:
    house.sql("UPDATE users SET is_admin = true WHERE id = :id", id=bob)
    own = str(house.sql("SELECT id FROM users WHERE email = 'ada@example.com'")[0][0])
    page = ada.open(f"/admin/users/{own}")
    assert f"/admin/users/{own}/disable" not in page.text
    for deed in ("disable", "delete"):
        refused = ada.send(f"/admin/users/{own}/{deed}", csrf=page.field("csrf"), email="ada@example.com")
        assert "cannot do this to yourself" in refused.text


def test_signed_out_everywhere_while_apps_stay(house: House, ada: AdminBrowser, bob: str) -> None:
    app, theirs = App(house.url), Browser(house.url)
    app.register()
    theirs.sign_in(email="bob@example.com")
    tokens = app.connect(theirs)
    assert "127.0.0.1" in ada.open(f"/admin/users/{bob}").text
    ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/sign-out")
    assert "/login" in theirs.open("/account").url
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert events(house, "user.signed_out")[0][0] == bob


def test_every_app_of_somebody_is_disconnected_and_their_keys_stay(house: House, ada: AdminBrowser, bob: str) -> None:
    theirs, apps = Browser(house.url), [App(house.url), App(house.url)]
    theirs.sign_in(email="bob@example.com")
    tokens = []
    for number, app in enumerate(apps):
        app.register(client_name=f"App {number}")
        tokens.append(app.connect(theirs)["access_token"])
    key = house.operator("api-key", "add", "k", "--user", "bob@example.com", "--quiet").strip()
    traded = apps[0].http.post(f"{house.url}/auth/token", json={"apiKey": key}).json()["token"]
    assert "Disconnected" in ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/disconnect").text
    house.catch_up()
    assert [app.call("whoami", token).status_code for app, token in zip(apps, tokens, strict=True)] == [401, 401]
    assert apps[0].call("whoami", traded).status_code == 200
    assert events(house, "connections.revoked")[0][2] == {"count": 2, "because": "revoked by an admin"}


def test_a_link_for_a_new_password(house: House, ada: AdminBrowser, bob: str) -> None:
    first = ada.once(f"/admin/users/{bob}", f"/admin/users/{bob}/password-link", "link")
    second = ada.once(f"/admin/users/{bob}", f"/admin/users/{bob}/password-link", "link")
    assert Browser(house.url).open(first).status == 410, "a newer one replaces it"
    theirs = Browser(house.url)
    page = theirs.open(second)
    theirs.send("/password", csrf=page.field("csrf"), code=page.field("code"), password="another four words")
    assert Browser(house.url).sign_in(email="bob@example.com", password="another four words").url.endswith("/account")
    made = events(house, "link.made")
    assert [row[0] for row in made] == [bob, bob]
    assert "gh_" not in str(made), "no secret is in the log"


def test_a_lost_phone_is_no_longer_asked_for(house: House, ada: AdminBrowser, bob: str) -> None:
    theirs = Browser(house.url)
    theirs.sign_in(email="bob@example.com")
    set_up(house, theirs)
    assert "authenticator app" in ada.open(f"/admin/users/{bob}").text
    page = ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/reset-factors")
    assert "Only the password is left" in page.text
    assert "/reset-factors" not in page.text
    assert "/login" in theirs.open("/account").url, "every browser is out"
    assert Browser(house.url).sign_in(email="bob@example.com").url.endswith("/account")
    [(whom, _, detail)] = events(house, "factors.reset")
    assert (whom, detail) == (bob, {"totp": True, "passkeys": 0})


def test_deleted_with_everything(house: House, ada: AdminBrowser, bob: str) -> None:
    app, theirs = App(house.url), Browser(house.url)
    app.register()
    theirs.sign_in(email="bob@example.com")
    tokens = app.connect(theirs)
    refused = ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/delete", email="ada@example.com")
    assert (refused.status, "type its e-mail address" in refused.text) == (409, True)
    gone = ada.press(f"/admin/users/{bob}", f"/admin/users/{bob}/delete", email="BOB@example.com ")
    assert gone.url.startswith(f"{house.url}/admin/users?done=deleted")
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert house.sql("SELECT email FROM users") == [("ada@example.com",)]
    assert house.sql("SELECT count(*) FROM connections") == [(0,)]
    assert ada.open(f"/admin/users/{bob}").status == 404
    assert len(events(house, "user.deleted")) == 1


def test_the_same_as_json(house: House, bob: str) -> None:
    api = Api(house, admin_key(house))
    assert [row["email"] for row in api("GET", "/users")["rows"]] == ["bob@example.com", "ada@example.com"]
    assert [row["email"] for row in api("GET", "/users?q=ada")["rows"]] == ["ada@example.com"]
    detail = api("GET", f"/users/{bob}")
    assert (detail["connections"], detail["api_keys"], detail["factors"]) == (0, 0, ["password"])
    assert "disabled_at" in api("PATCH", f"/users/{bob}", json={"disabled": True})
    assert "disabled_at" not in api("PATCH", f"/users/{bob}", json={"disabled": False})
    assert api("PATCH", f"/users/{bob}", json={"is_admin": True})["is_admin"] is True
    assert api("PATCH", f"/users/{bob}", json={"is_admin": True})["is_admin"] is True, "again is no fault"
    assert api("PATCH", f"/users/{bob}", json={"is_admin": False})["is_admin"] is False
    made = api("POST", "/users", 201, json={"email": "carol@example.com", "name": "Carol"})
    assert made["password_link"].startswith(f"{house.url}/password?code=")
    assert api("POST", "/users", 409, json={"email": "carol@example.com"})["error"] == "conflict"
    assert "password_link" in api("POST", f"/users/{bob}/password-link", 201)
    api("POST", f"/users/{bob}/sign-out", 204)
    assert api("POST", f"/users/{bob}/disconnect") == {"ended": 0}
    api("DELETE", f"/users/{bob}", 204)
    api("GET", f"/users/{bob}", 404)
    api("DELETE", f"/users/{bob}", 404)
    own = house.sql("SELECT id FROM users WHERE is_admin")[0][0]
    assert "last admin" in api("PATCH", f"/users/{own}", 409, json={"is_admin": False})["error_description"]


WAYS_IN = {
    "none": "SELECT id FROM users",
    "assertions": "INSERT INTO identities (issuer, subject, user_id, created_at) "
    "SELECT 'https://x.example', 'x', id, now() FROM users",
    "provider": "INSERT INTO identities (issuer, subject, user_id, created_at, signs_in_since) "
    "SELECT 'https://x.example', 'x', id, now(), now() FROM users",
    "password": "INSERT INTO passwords (user_id, hash, changed_at) SELECT id, 'x', now() FROM users",
    "passkey": "INSERT INTO passkeys (credential_id, id, user_id, name, public_key, sign_count, transports, backed_up, "
    "created_at) SELECT 'x', 'pk_x', id, 'x', 'x', 0, '{}', false, now() FROM users",
    "mailbox": "UPDATE users SET email_verified_at = now()",
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_an_admin_who_cannot_sign_in_is_no_other_admin(house: House, way: str) -> None:
    """Somebody who was only asked to choose a password, perhaps at an address with a slip in it."""
    own = house.add_user(admin=True)
    api = Api(house, admin_key(house))
    api("POST", "/users", 201, json={"email": "typo@exmaple.com", "name": "T", "is_admin": True})
    house.sql(f"{WAYS_IN[way]} WHERE email = 'typo@exmaple.com'")
    if way not in ("none", "assertions"):
        api("PATCH", f"/users/{own}", json={"is_admin": False})
        return
    assert "last admin" in api("PATCH", f"/users/{own}", 409, json={"is_admin": False})["error_description"]
    page = AdminBrowser(house).press("/account/delete", "/account/delete", email="ada@example.com")
    assert "You are the only admin here." in page.text
