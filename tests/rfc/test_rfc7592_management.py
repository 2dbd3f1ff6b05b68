"""RFC 7592: a client reads, replaces and ends its own registration, and nobody ends anybody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.actors import CALLBACK, App, Browser, http
from tests.conftest import House

NEW = "http://127.0.0.1:3030/new"


@pytest.fixture
def registered(app: App) -> dict[str, Any]:
    """What a confidential registration is answered with."""
    return app.register(token_endpoint_auth_method="client_secret_basic", contacts=["ada@example.com"])


def manage(method: str, registered: dict[str, Any], token: str | None = None, **options: Any) -> httpx2.Response:
    bearer = f"Bearer {token or registered['registration_access_token']}"
    return http().request(method, registered["registration_client_uri"], headers={"Authorization": bearer}, **options)


def replaced(registered: dict[str, Any], **change: Any) -> httpx2.Response:
    document = {
        "client_id": registered["client_id"],
        "client_name": "Quill 2",
        "redirect_uris": [NEW],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    return manage("PUT", registered, json=document | change)


def refused(response: httpx2.Response) -> bool:
    """401 with the challenge of RFC 6750 §3."""
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_token"
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    return True


def test_registration_tells_where_and_with_what(registered: dict[str, Any], house: House) -> None:
    """§3: both members; of the token only a fingerprint is kept."""
    token = registered["registration_access_token"]
    assert token.startswith("gh_rat_")
    assert registered["registration_client_uri"] == f"{house.url}/register/{registered['client_id']}"
    assert token not in str(house.sql("SELECT * FROM clients"))


def test_a_shared_public_client_is_in_nobodys_hands(app: App) -> None:
    """Identical public registrations are one client: an installer must not change or delete everybody's."""
    for answer in (app.register(), app.register(), app.register(client_name="Never seen before")):
        assert not {"registration_access_token", "registration_client_uri"} & set(answer)
    for token in ("gh_rat_", "gh_rat_x", app.client_id):
        for method in ("GET", "DELETE"):
            assert refused(manage(method, {"registration_client_uri": f"{app.url}/register/{app.client_id}"}, token))


def test_confidential_registrations_are_never_shared(app: App) -> None:
    one, two = (app.register(token_endpoint_auth_method="client_secret_post") for _ in range(2))
    assert refused(manage("GET", one, two["registration_access_token"]))
    assert manage("DELETE", two).status_code == 204
    assert manage("GET", one).status_code == 200


def test_read(registered: dict[str, Any]) -> None:
    """§2.1 and §3: all metadata and both members; no secret, of which nobody here knows more than a fingerprint."""
    response = manage("GET", registered)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    without = {n: v for n, v in registered.items() if n not in ("client_secret", "client_secret_expires_at")}
    assert response.json() == without


def test_replace_replaces_and_does_not_add(app: App, browser: Browser, registered: dict[str, Any]) -> None:
    """§2.2: what is left out is gone; the id, the secret and the token stay."""
    answer = replaced(registered).json()
    assert answer["client_name"] == "Quill 2"
    assert answer["redirect_uris"] == [NEW]
    assert "contacts" not in answer
    assert "client_secret" not in answer
    assert answer["registration_access_token"] == registered["registration_access_token"]
    assert manage("GET", registered).json() == answer
    assert browser.open(app.authorize_url(redirect_uri=CALLBACK)).status == 400
    app.redirect_uri = NEW
    assert "access_token" in app.connect(browser)


def test_users_are_asked_again_after_a_change(app: App, browser: Browser, registered: dict[str, Any]) -> None:
    """They allowed the app as it was, with the name it had."""
    app.redirect_uri = "https://quill.example/cb"
    replaced(registered, redirect_uris=[app.redirect_uri])
    app.connect(browser)
    assert "code" in browser.open(app.authorize_url()).answer
    replaced(registered, redirect_uris=[app.redirect_uri], client_name="Bank")
    assert "/consent" in browser.open(app.authorize_url()).url


def test_connections_outlive_a_change(app: App, browser: Browser, registered: dict[str, Any]) -> None:
    tokens = app.connect(browser)
    assert replaced(registered).status_code == 200
    assert app.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": "client_other"}, "invalid_client_metadata"),
        ({"client_id": None}, "invalid_client_metadata"),
        ({"client_secret": "gh_cs_chosen"}, "invalid_client_metadata"),
        ({"client_secret": 7}, "invalid_client_metadata"),
        ({"registration_access_token": "gh_rat_chosen"}, "invalid_client_metadata"),
        ({"registration_client_uri": "https://elsewhere.example"}, "invalid_client_metadata"),
        ({"client_secret_expires_at": 0}, "invalid_client_metadata"),
        ({"client_id_issued_at": 1}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "none"}, "invalid_client_metadata"),
        ({"redirect_uris": ["http://evil.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"client_name": 5}, "invalid_client_metadata"),
        ({"x": "\0"}, "invalid_client_metadata"),
    ],
)
def test_a_bad_replacement_changes_nothing(registered: dict[str, Any], change: dict[str, Any], error: str) -> None:
    """§2.2: the rules of registration, and what is ours to say stays ours."""
    response = replaced(registered, **change)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert manage("GET", registered).json()["client_name"] == "Quill"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 5000])
def test_garbage_changes_nothing(registered: dict[str, Any], body: bytes) -> None:
    response = http().put(
        registered["registration_client_uri"],
        content=body,
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Bearer {registered['registration_access_token']}",
        },
    )
    assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata")
    assert manage("GET", registered).status_code == 200


def test_the_secret_may_be_repeated(registered: dict[str, Any]) -> None:
    assert replaced(registered, client_secret=registered["client_secret"]).status_code == 200


def test_the_end(app: App, browser: Browser, house: House, registered: dict[str, Any]) -> None:
    """§2.3: 204; tokens, refresh and the registration access token itself end with it."""
    tokens = app.connect(browser)
    response = manage("DELETE", registered)
    assert (response.status_code, response.content) == (204, b"")
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_client"
    for method in ("GET", "PUT", "DELETE"):
        assert refused(manage(method, registered))


def test_a_client_ends_once(registered: dict[str, Any], house: House) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda _: manage("DELETE", registered).status_code, range(8)))
    assert statuses == [204] + [401] * 7
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'client.revoked'") == [(1,)]


def test_without_the_token_nothing_is_told(app: App, registered: dict[str, Any], house: House) -> None:
    """§2.1: an unknown client and a wrong token look the same."""
    gone = {"registration_client_uri": f"{house.url}/register/client_gone"}
    wrong = manage("GET", registered, "gh_rat_wrong")
    assert refused(wrong)
    assert refused(manage("GET", gone, registered["registration_access_token"]))
    unknown = manage("GET", gone, "gh_rat_wrong").json()
    assert unknown | {"request_id": ""} == wrong.json() | {"request_id": ""}
    bare = http().get(registered["registration_client_uri"])
    assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
    assert http().post(registered["registration_client_uri"]).status_code == 405
    assert manage("GET", {"registration_client_uri": f"{house.url}/register/"}, "x").status_code == 404


@pytest.mark.parametrize("nasty", ["%00", "%ff", "a" * 3000, "%F0%9F%92%A5", "';--", "x%2Fy", "x/y"])
def test_nasty_names_and_tokens_break_nothing(registered: dict[str, Any], house: House, nasty: str) -> None:
    place = {"registration_client_uri": f"{house.url}/register/{nasty}"}
    for method in ("GET", "PUT", "DELETE"):
        assert manage(method, place, registered["registration_access_token"]).status_code in (400, 401, 404)
        assert manage(method, registered, "gh_rat_" + nasty).status_code == 401


def test_changes_without_end_fill_no_log(registered: dict[str, Any], house: House) -> None:
    answers = [replaced(registered, client_name=f"Quill {number}") for number in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) <= 60
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'client.updated'") == [(10,)]
