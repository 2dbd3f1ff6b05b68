"""Admins and apps: blocked and let in again, lifetimes, made by hand, new secrets, removed."""

from __future__ import annotations

import json

import pytest

from app.operate.sweep import sweep
from tests.actors import App, Browser, Device, http
from tests.admins import AdminBrowser, Api, admin_key, events
from tests.conftest import House


@pytest.fixture
def ada(house: House) -> AdminBrowser:
    house.add_user(admin=True)
    return AdminBrowser(house)


@pytest.fixture
def quill(house: House, ada: AdminBrowser) -> App:
    app = App(house.url)
    app.register()
    return app


def test_a_blocked_app_gets_nothing_and_what_it_has_is_void(house: House, ada: AdminBrowser, quill: App) -> None:
    tokens, code = quill.connect(ada), quill.code(ada)
    page = ada.press(f"/admin/clients/{quill.client_id}", f"/admin/clients/{quill.client_id}/block")
    assert "The app is blocked" in page.text
    house.catch_up()
    assert quill.call("whoami", tokens["access_token"]).status_code == 401
    for refused in (quill.refresh(tokens["refresh_token"]), quill.redeem(code)):
        assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client"), "not: register anew"
    shown = ada.open(quill.authorize_url())
    assert (shown.status, shown.left_to) == (400, None)
    assert "blocked this app" in shown.text
    assert [row[1] for row in events(house, "client.blocked")] == [quill.client_id]
    house.wait_for(house.world.traces.flush())
    assert "is blocked by an admin of this server" in ada.open("/admin/attempts?failed=yes").text


def test_blocked_in_the_middle_of_a_sign_in(house: House, ada: AdminBrowser, quill: App) -> None:
    consent = ada.open(quill.authorize_url())
    assert "/consent" in consent.url
    ada.press(f"/admin/clients/{quill.client_id}", f"/admin/clients/{quill.client_id}/block")
    assert ada.open(consent.url).status == 400
    decided = ada.decide(consent)
    assert (decided.status, decided.left_to) == (400, None)
    assert house.sql("SELECT count(*) FROM codes") == [(0,)]


def test_registering_again_does_not_get_round_the_block(house: House, ada: AdminBrowser, quill: App) -> None:
    ada.press(f"/admin/clients/{quill.client_id}", f"/admin/clients/{quill.client_id}/block")
    again = App(house.url)
    again.register()
    assert again.client_id == quill.client_id
    assert ada.open(again.authorize_url()).status == 400


def test_a_blocked_device_gets_no_token(house: House, ada: AdminBrowser) -> None:
    device = Device.of(App(house.url))
    device.decide(ada)
    path = f"/admin/clients/{device.app.client_id}"
    ada.press(path, f"{path}/block")
    assert device.word() == "unauthorized_client"


def test_unblocked_it_goes_on_where_it_was(house: House, ada: AdminBrowser, quill: App) -> None:
    tokens = quill.connect(ada)
    path = f"/admin/clients/{quill.client_id}"
    ada.press(path, f"{path}/block")
    assert ada.open("/admin/clients?kind=blocked").text.count("/admin/clients/client_") == 1
    csrf = ada.open(path).field("csrf")
    assert ada.send(f"{path}/block", csrf=csrf).status == 409
    ada.press(path, f"{path}/unblock")
    assert ada.send(f"{path}/unblock", csrf=csrf).status == 409
    house.turn_clock(seconds=3)
    renewed = quill.refresh(tokens["refresh_token"]).json()
    assert quill.call("whoami", renewed["access_token"]).status_code == 200
    assert quill.call("whoami", tokens["access_token"]).status_code == 401, "what was void stays void"


def test_a_blocked_app_is_not_forgotten(house: House, ada: AdminBrowser, quill: App) -> None:
    """Swept and registered anew it would be in again."""
    path = f"/admin/clients/{quill.client_id}"
    ada.press(path, f"{path}/block")
    house.turn_clock(days=400)
    house.wait_for(sweep(house.world, house.clock()))
    assert house.sql("SELECT client_id FROM clients") == [(quill.client_id,)]


def test_lifetimes_of_one_client(house: House, ada: AdminBrowser, quill: App) -> None:
    path = f"/admin/clients/{quill.client_id}"
    wishes = {"access_lifetime": "120", "refresh_idle": "3600", "refresh_absolute": "7200"}
    saved = ada.press(path, f"{path}/lifetimes", **wishes)
    assert "Saved." in saved.text
    tokens = quill.connect(ada)
    assert tokens["expires_in"] == 120
    house.turn_clock(seconds=121)
    assert quill.call("whoami", tokens["access_token"]).status_code == 401
    house.turn_clock(seconds=3400)
    tokens = quill.refresh(tokens["refresh_token"]).json()
    assert tokens["expires_in"] == 120
    house.turn_clock(seconds=3601)
    assert quill.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant", "unused for an hour"
    house.clock.ahead *= 0
    tokens = quill.connect(ada)
    for _ in range(2):
        house.turn_clock(seconds=3500)
        tokens = quill.refresh(tokens["refresh_token"]).json()
    house.turn_clock(seconds=300)
    assert quill.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant", "two hours after signing in"
    detail = events(house, "client.lifetimes")[0][2]
    assert detail == {name: int(value) for name, value in wishes.items()}


def test_shorter_lives_are_for_open_connections_too_and_empty_ones_are_as_the_settings_say(
    house: House, ada: AdminBrowser, quill: App
) -> None:
    tokens = quill.connect(ada)
    path = f"/admin/clients/{quill.client_id}"
    ada.press(path, f"{path}/lifetimes", refresh_absolute="3600")
    other = App(house.url)
    other.register(client_name="Other")
    assert other.connect(ada)["expires_in"] == 3600
    lasts = "SELECT extract(epoch FROM expires_at - created_at)::int FROM connections ORDER BY created_at"
    assert house.sql(lasts) == [(3600,), (90 * 86400,)]
    ada.press(path, f"{path}/lifetimes", refresh_absolute="")
    assert house.sql("SELECT refresh_absolute FROM clients WHERE client_id = :id", id=quill.client_id) == [(None,)]
    house.turn_clock(seconds=3601)
    assert quill.refresh(tokens["refresh_token"]).status_code == 400, "never longer again"


@pytest.mark.parametrize(
    ("name", "value"),
    [("access_lifetime", v) for v in ("59", "3601", "-1", "1e3", "²", "many", "9" * 12)]
    + [("refresh_idle", "299"), ("refresh_absolute", "999999999")],
)
def test_bad_lifetimes_are_told_beside_the_field(
    house: House, ada: AdminBrowser, quill: App, name: str, value: str
) -> None:
    path = f"/admin/clients/{quill.client_id}"
    refused = ada.press(path, f"{path}/lifetimes", **{name: value})
    assert refused.status == 400
    assert f'value="{value}"' in refused.text, "what was typed is kept"
    assert 'role="alert" id="fault"' in refused.text
    assert house.sql("SELECT access_lifetime, refresh_idle, refresh_absolute FROM clients") == [(None, None, None)]


def test_an_app_by_hand_with_a_secret_that_is_shown_once(house: House, ada: AdminBrowser) -> None:
    shown = ada.press(
        "/admin/clients/new", "/admin/clients/new/add", name="CRM", redirect_uris="http://127.0.0.1:3030/callback\n",
        kind="confidential", scope="read",
    )  # fmt: skip
    client_id, secret = (
        shown.text.split('id="client_id" class="mono" type="text" readonly value="')[1].split('"')[0],
        "",
    )
    secret = shown.text.split('id="client_secret" class="mono" type="text" readonly value="')[1].split('"')[0]
    assert secret.startswith("gh_cs_")
    assert shown.url == f"{house.url}/admin/clients/{client_id}"
    assert secret not in ada.open(shown.url).text
    app = App(house.url, client_id=client_id, client_secret=secret)
    assert app.connect(ada)["scope"] == "read", "what was ticked is what it asks for"
    assert house.sql("SELECT kind FROM clients") == [("static",)]
    refused = ada.press(shown.url, f"/admin/clients/{client_id}/secret")
    assert (refused.status, "Tick the box to make a new secret" in refused.text) == (409, True)
    assert events(house, "client.secret_rotated") == []
    app.connect(ada)
    renewed = ada.once(shown.url, f"/admin/clients/{client_id}/secret", "client_secret", sure="yes")
    assert app.redeem(app.code(ada)).status_code == 401
    app.client_secret = renewed
    assert app.connect(ada)["access_token"]
    assert "gh_cs_" not in str(events(house, "client.secret_rotated") + events(house, "client.registered"))
    assert [row[1] for row in events(house, "client.secret_rotated")] == [client_id]


def test_a_public_app_by_hand_has_no_secret(house: House, ada: AdminBrowser) -> None:
    shown = ada.press(
        "/admin/clients/new", "/admin/clients/new/add", name="Phone", redirect_uris="my.app:/callback", kind="public"
    )
    assert 'id="client_id"' in shown.text
    assert 'id="client_secret"' not in shown.text
    csrf = ada.open(shown.url).field("csrf")
    refused = ada.send(shown.url.removeprefix(house.url) + "/secret", csrf=csrf, sure="yes")
    assert (refused.status, "has no secret" in refused.text) == (409, True)


@pytest.mark.parametrize(
    "uris", ["http://app.example/cb", "javascript:alert(1)", "https://x/ " * 11, "", "\x00", "not a uri"]
)
def test_a_bad_redirect_is_told_beside_its_field(house: House, ada: AdminBrowser, uris: str) -> None:
    refused = ada.press(
        "/admin/clients/new", "/admin/clients/new/add", name="<b>CRM", redirect_uris=uris, kind="public"
    )
    assert refused.status == 400
    assert "&lt;b&gt;CRM" in refused.text
    assert 'aria-invalid="true"' in refused.text
    assert house.sql("SELECT count(*) FROM clients") == [(0,)]


def test_everybody_is_disconnected_and_the_app_removed(house: House, ada: AdminBrowser, quill: App) -> None:
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    tokens = [quill.connect(ada)["access_token"], quill.connect(bob)["access_token"]]
    path = f"/admin/clients/{quill.client_id}"
    ada.press(path, f"{path}/disconnect")
    house.catch_up()
    assert [quill.call("whoami", token).status_code for token in tokens] == [401, 401]
    assert events(house, "connections.revoked")[0][1:] == (
        quill.client_id,
        {"count": 2, "because": "revoked by an admin"},
    )
    refused = ada.press(path, f"{path}/remove")
    assert (refused.status, "Tick the box" in refused.text) == (409, True)
    ada.press(path, f"{path}/remove", sure="yes")
    assert ada.open(path).status == 404
    assert quill.refresh("gh_rt_x").status_code == 401
    assert len(events(house, "client.revoked")) == 1


def test_a_client_whose_id_is_an_address_has_pages_too(house: House, ada: AdminBrowser) -> None:
    url = "https://claude.ai/oauth/mcp-oauth-client-metadata"
    house.sql(
        "INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method,"
        " metadata, created_at) VALUES (:url, 'document', 'Claude', '{https://claude.ai/cb}', '{}', 'none', '{}', now())",
        url=url,
    )
    path = f"/admin/clients/url-{url.encode().hex()}"
    assert path in ada.open("/admin/clients?q=https://claude.ai").text
    assert "published by claude.ai" in ada.open(path).text
    house.turn_clock(minutes=16)
    page = ada.press(path, f"{path}/block")
    assert ada.sign_in(page).url == house.url + path, "signing in again leads back"
    assert "The app is blocked" in ada.press(path, f"{path}/block").text
    app = App(house.url, client_id=url, redirect_uri="https://claude.ai/cb")
    assert "blocked this app" in ada.open(app.authorize_url()).text
    for nonsense in ("url-zz", "url-00", "url-", "client_x", "%00", "%ff"):
        assert ada.open(f"/admin/clients/{nonsense}").status in (400, 404), nonsense


def test_the_same_as_json(house: House, ada: AdminBrowser, quill: App) -> None:
    api = Api(house, admin_key(house))
    listed = api("GET", "/clients?q=quill")["rows"]
    assert [(row["client_id"], row["path"], row["kind"]) for row in listed] == [
        (quill.client_id, quill.client_id, "dynamic")
    ]
    path = f"/clients/{quill.client_id}"
    changed = api("PATCH", path, json={"blocked": True, "access_lifetime": 120})
    assert (changed["access_lifetime"], "blocked_at" in changed) == (120, True)
    assert api("PATCH", path, json={"refresh_idle": 3600})["access_lifetime"] == 120, "what is left out stays"
    changed = api("PATCH", path, json={"access_lifetime": None, "blocked": False})
    assert ("access_lifetime" in changed, changed["refresh_idle"], "blocked_at" in changed) == (False, 3600, False)
    assert api("PATCH", path, 400, json={"access_lifetime": 3601})["error"] == "invalid_request"
    made = api("POST", "/clients", 201, json={"client_name": "CRM", "redirect_uris": ["https://crm.example/cb"]})
    assert made["client_secret"].startswith("gh_cs_")
    secret = api("POST", f"/clients/{made['path']}/secret", 201)
    assert secret["client_secret"] != made["client_secret"]
    api("POST", f"{path}/secret", 409)
    assert api("POST", f"{path}/disconnect") == {"ended": 0}
    bad = {"client_name": "X", "redirect_uris": ["javascript:alert(1)"]}
    assert api("POST", "/clients", 400, json=bad)["error"] == "invalid_redirect_uri"
    assert api("POST", "/clients", 400, json={"client_name": "X", "redirect_uris": ["https://x/"], "scope": "admin"})
    api("DELETE", path, 204)
    api("DELETE", path, 404)


def test_what_an_app_calls_itself_is_shown_as_words(house: House, ada: AdminBrowser) -> None:
    app = App(house.url)
    app.register(client_name="<script>alert(1)</script>", client_uri="https://x.example/'\"><b>")
    for page in ("/admin/clients", f"/admin/clients/{app.client_id}", "/admin/audit", "/admin/attempts"):
        text = ada.open(page).text
        assert "<script>alert" not in text, page
        assert "<b>" not in text, page
    assert json.loads(http().get(f"{house.url}/healthz").text)["status"] == "ok"
