"""RFC 9126: the request goes ahead, checked and sealed; the browser carries a reference that is good for one code."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from tests.actors import App, Browser
from tests.conftest import House

URN = "urn:ietf:params:oauth:request_uri:"


def push(app: App, **changed: str | None) -> httpx2.Response:
    data = {
        "response_type": "code",
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "redirect_uri": app.redirect_uri,
        "code_challenge": app.code_challenge,
        "code_challenge_method": "S256",
        "state": "xyz",
    } | changed
    return app.http.post(f"{app.url}/par", data={k: v for k, v in data.items() if v is not None})


def pushed(app: App, **changed: str | None) -> str:
    """The address that the browser is sent to."""
    response = push(app, **changed)
    assert response.status_code == 201, response.text
    return f"{app.url}/authorize?" + urlencode(
        {"client_id": app.client_id, "request_uri": response.json()["request_uri"]}
    )


def allow(browser: Browser, url: str) -> dict[str, str]:
    page = browser.open(url)
    if "/login" in page.url:
        page = browser.sign_in(page)
    if "/consent" in page.url:
        page = browser.decide(page)
    return page.answer


def test_a_pushed_request_becomes_tokens(app: App, browser: Browser) -> None:
    """§2.2: 201, no-store, a URN and its lifetime; §4: the browser carries two parameters."""
    response = push(app)
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert set(response.json()) == {"request_uri", "expires_in"}
    assert response.json()["request_uri"].startswith(URN)
    assert response.json()["expires_in"] == 90
    answer = allow(browser, pushed(app, scope="read", resource=f"{app.url}/mcp"))
    assert (answer["state"], answer["iss"]) == ("xyz", app.url)
    tokens = app.redeem(answer["code"]).json()
    assert tokens["scope"] == "read"
    assert app.call("whoami", tokens["access_token"]).status_code == 200


def test_nothing_is_stored_by_pushing(app: App, house: House) -> None:
    """The request is sealed into its reference, so a flood of them fills nothing."""
    for _ in range(3):
        push(app, state="find me")
    tables = [row[0] for row in house.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for table in tables:
        assert "find me" not in str(house.sql(f"SELECT * FROM {table}"))
    assert "find me" not in push(app, state="find me").text


def test_other_parameters_are_not_looked_at(app: App, browser: Browser) -> None:
    """§4 and RFC 9101 §6.3: only what was pushed counts."""
    extra = {"scope": "write api_keys", "redirect_uri": "https://evil.example/", "state": "evil", "response_type": "no"}
    answer = allow(browser, pushed(app, scope="read") + "&" + urlencode(extra))
    assert answer["state"] == "xyz"
    assert app.redeem(answer["code"]).json()["scope"] == "read"


def test_get_may_be_fetched_twice(app: App, browser: Browser) -> None:
    """§4 allows a reload: real clients and browsers fetch /authorize before the person looks at it."""
    url = pushed(app)
    assert app.http.get(url).status_code == 303
    assert "/login" in Browser(app.url).open(url).url
    assert "/login" in browser.open(url).url
    assert "code" in allow(browser, url)


def test_one_request_gives_one_code(app: App, browser: Browser) -> None:
    """§7.3: a reload before the code is redeemed gets another in its place; afterwards the request is used up."""
    url = pushed(app)
    first, second = allow(browser, url)["code"], allow(browser, url)["code"]
    assert first != second
    assert app.redeem(first).json()["error"] == "invalid_grant"
    assert app.redeem(second).status_code == 200
    page = browser.open(url)
    assert (page.status, page.left_to) == (400, None)
    assert "answered already" in page.text


def test_the_reference_is_for_one_user(app: App, browser: Browser, house: House) -> None:
    """Whoever else opens it within its minute gets nothing, and takes nothing from the first."""
    house.add_user("eve@example.com")
    url = pushed(app)
    code = allow(browser, url)["code"]
    other = Browser(house.url)
    page = other.decide(other.sign_in(other.open(url), "eve@example.com"))
    assert (page.status, page.left_to) == (400, None)
    assert app.redeem(code).status_code == 200


def test_one_code_of_many_reloads_at_once(app: App, browser: Browser, house: House) -> None:
    """One SQL statement: of fifty answers given at once, one code is worth something."""
    app.connect(browser)
    url = pushed(app)
    cookies = dict(browser.http.cookies)

    def reload(_: int) -> str:
        again = Browser(house.url, cookies=cookies)
        return again.open(url).answer["code"]

    with ThreadPoolExecutor(50) as pool:
        codes = list(pool.map(reload, range(50)))
    assert len(set(codes)) == 50
    assert sorted(app.redeem(code).status_code for code in codes) == [200] + [400] * 49


def test_it_ends_after_its_lifetime(app: App, browser: Browser, house: House) -> None:
    """§4: an expired request_uri is rejected; who began in time may take their time."""
    url = pushed(app)
    page = browser.open(url)
    house.turn_clock(seconds=91)
    late = Browser(house.url).open(url)
    assert (late.status, late.left_to) == (400, None)
    assert "too old" in late.text
    assert "code" in browser.decide(browser.sign_in(page)).answer


def test_it_is_for_its_client_alone(app: App, browser: Browser, house: House) -> None:
    """§2.2: bound to the client that pushed it."""
    other = App(house.url)
    other.register(client_name="Other")
    page = browser.open(pushed(app).replace(app.client_id, other.client_id))
    assert (page.status, page.left_to) == (400, None)
    assert "another app" in page.text


@pytest.mark.parametrize("reference", ["", "x", "a" * 3000, "é", "%00", "AAAA", "../x"])
def test_an_unknown_reference_is_a_page(app: App, browser: Browser, reference: str) -> None:
    page = browser.open(f"/authorize?client_id={app.client_id}&request_uri={URN}{reference}")
    assert (page.status, page.left_to) == (400, None)


def test_the_sealed_values_do_not_pass_for_each_other(app: App, browser: Browser) -> None:
    """A request_uri is no `req`, and a `req` no request_uri."""
    reference = push(app).json()["request_uri"].removeprefix(URN)
    assert browser.open(f"/authorize/continue?req={reference}").status == 400
    req = browser.open(app.authorize_url()).field("req")
    assert browser.open(f"/authorize?client_id={app.client_id}&request_uri={URN}{req}").status == 400


def test_other_request_uris_are_not_supported(app: App, browser: Browser) -> None:
    """RFC 9101 §5.2: nothing is ever fetched; a loopback client is told."""
    answer = browser.open(app.authorize_url(request_uri="https://elsewhere.example/r")).answer
    assert answer["error"] == "request_uri_not_supported"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_id": "client_gone"}, 401, "invalid_client"),
        ({"client_id": None}, 401, "invalid_client"),
        ({"client_secret": "gh_cs_x"}, 401, "invalid_client"),
        ({"request_uri": URN + "x"}, 400, "invalid_request"),
        ({"request": "e30.e30."}, 400, "request_not_supported"),
        ({"redirect_uri": "https://evil.example/"}, 400, "invalid_request"),
        ({"response_type": None}, 400, "invalid_request"),
        ({"response_type": "token"}, 400, "unsupported_response_type"),
        ({"response_mode": "fragment"}, 400, "invalid_request"),
        ({"code_challenge": None}, 400, "invalid_request"),
        ({"code_challenge_method": "plain"}, 400, "invalid_request"),
        ({"resource": "https://elsewhere.example/mcp"}, 400, "invalid_target"),
        ({"state": "x" * 5000}, 400, "invalid_request"),
        ({"prompt": "none login"}, 400, "invalid_request"),
        ({"max_age": "soon"}, 400, "invalid_request"),
    ],
)
def test_what_is_wrong_is_told_when_it_is_pushed(
    app: App, change: dict[str, str | None], status: int, error: str
) -> None:
    """§2.1 and §2.3: the rules of /authorize, answered as /token answers."""
    response = push(app, **change)
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_a_client_with_a_secret_needs_it_here(app: App, browser: Browser) -> None:
    """§2: authenticated like at the token endpoint."""
    app.register(token_endpoint_auth_method="client_secret_post")
    assert push(app, client_secret=None).json()["error"] == "invalid_client"
    assert "code" in allow(browser, pushed(app))


def test_a_client_may_bind_itself_to_pushing(app: App, browser: Browser) -> None:
    """§6 require_pushed_authorization_requests."""
    assert app.register(require_pushed_authorization_requests=True)["require_pushed_authorization_requests"] is True
    answer = browser.open(app.authorize_url()).answer
    assert (answer["error"], answer["state"]) == ("invalid_request", "xyz")
    assert "code" in allow(browser, pushed(app))
    app.register(require_pushed_authorization_requests=False)
    assert "code" in allow(browser, app.authorize_url())


@pytest.mark.parametrize("value", ["true", 1, [], {}])
def test_a_bad_word_for_it_is_refused(app: App, value: Any) -> None:
    document = {"redirect_uris": [app.redirect_uri], "require_pushed_authorization_requests": value}
    response = app.http.post(f"{app.url}/register", json=document)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata")


def test_it_is_advertised(app: App) -> None:
    """§5."""
    found = app.http.get(f"{app.url}/.well-known/oauth-authorization-server").json()
    assert found["pushed_authorization_request_endpoint"] == f"{app.url}/par"
    assert app.http.get(found["pushed_authorization_request_endpoint"]).status_code == 405
