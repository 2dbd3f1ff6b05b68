"""draft-ietf-oauth-client-id-metadata-document: a client_id that is the URL of the client's own description."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from app.operate.sweep import sweep
from app.outside import fetch
from app.outside.addresses import is_public
from app.outside.fetch import Outside, Unfetchable
from tests.actors import App, Browser, http
from tests.conftest import House
from tests.websites import Website

SPECIAL = """
127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 192.0.0.1 198.18.0.1 224.0.0.1 240.0.0.1
255.255.255.255 192.0.2.1 198.51.100.1 203.0.113.1 192.88.99.1 ::1 :: fc00::1 fd12::1 fe80::1 fe80::1%eth0 fec0::1
ff02::1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::10.0.0.1 64:ff9b::a00:1 64:ff9b::7f00:1 64:ff9b:1::1 2002:a00:1::1
2002:7f00:1::1 2001::1 2001:db8::1 100::1 5f00::1 nonsense
"""
CLAUDE_CODE = "https://claude.ai/oauth/claude-code-client-metadata"


@pytest.fixture
def house(house: House) -> House:
    house.add_user()
    return house


def describe(website: Website, path: str = "/client.json", **changed: Any) -> dict[str, Any]:
    document = {
        "client_id": website.url + path,
        "client_name": "Quill",
        "redirect_uris": ["http://127.0.0.1/callback", "https://quill.example/callback"],
        "token_endpoint_auth_method": "none",
    } | changed
    return {name: value for name, value in document.items() if value is not None}


def app_of(house: House, url: str) -> App:
    return App(house.url, redirect_uri="http://127.0.0.1:4711/callback", client_id=url)


def test_a_document_is_all_the_registration_there_is(house: House, website: Website, browser: Browser) -> None:
    """§4; and the redirect host and the client_id's host are in plain sight (§6.2, MCP "Localhost Redirect URI Risks")."""
    app = app_of(house, website.publish("/client.json", describe(website)))
    page = browser.sign_in(browser.open(app.authorize_url()))
    assert "Quill" in page.text
    assert "published by localhost" in page.text
    assert "127.0.0.1" in page.text
    assert "a program on this computer" in page.text
    tokens = app.redeem(browser.decide(page).answer["code"]).json()
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert app.refresh(tokens["refresh_token"]).status_code == 200
    assert website.visits["/client.json"] == 1


def test_ten_authorizations_cost_one_fetch_until_the_document_is_due(
    house: House, website: Website, browser: Browser
) -> None:
    """§4.3: kept as its headers say, within bounds."""
    app = app_of(house, website.publish("/client.json", describe(website), Cache_Control="max-age=120"))
    for _ in range(10):
        assert "/login" in browser.open(app.authorize_url()).url
    assert website.visits["/client.json"] == 1
    house.turn_clock(seconds=121)
    browser.open(app.authorize_url())
    assert website.visits["/client.json"] == 2


def test_a_sign_in_that_has_begun_does_not_ask_anew(house: House, website: Website, browser: Browser) -> None:
    """§4.3: one look at /authorize, none at the steps that follow, however long they take."""
    app = app_of(house, website.publish("/client.json", describe(website), Cache_Control="max-age=60"))
    page = browser.open(app.authorize_url())
    house.turn_clock(seconds=70)
    assert browser.decide(browser.sign_in(page)).left_to
    assert website.visits["/client.json"] == 1


def test_a_host_that_is_down_is_forgiven_for_a_week(house: House, website: Website, browser: Browser) -> None:
    """stale-if-error; after that the app is told apart from one that is there."""
    app = app_of(house, website.publish("/client.json", describe(website), Cache_Control="max-age=60"))
    browser.open(app.authorize_url())
    website.publish("/client.json", b"down", 500)
    house.turn_clock(days=6)
    assert "/login" in browser.open(app.authorize_url()).url
    assert website.visits["/client.json"] == 2
    house.turn_clock(days=2)
    page = browser.open(app.authorize_url())
    assert (page.status, page.left_to) == (503, None)
    assert "could not be read" in page.text


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"client_id": "https://localhost/client.json"}, "client_id is not the URL"),
        ({"client_id": None}, "client_id is not the URL"),
        ({"client_name": None}, "client_name"),
        ({"redirect_uris": None}, "redirect_uris"),
        ({"redirect_uris": ["http://evil.example/"]}, "plain http"),
        ({"client_secret": "x"}, "client_secret"),
        ({"client_secret_expires_at": 0}, "client_secret_expires_at"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
        ({"logo_uri": "javascript:alert(1)"}, "logo_uri"),
        ({"padding": "x" * 6000}, "larger than"),
    ],
)
def test_a_document_that_will_not_do_is_a_page_and_is_not_kept(
    house: House, website: Website, browser: Browser, changed: dict[str, Any], why: str
) -> None:
    """§4.1; §4.3: errors and invalid documents are never kept, so putting it right helps at once."""
    app = app_of(house, website.publish("/client.json", describe(website, **changed), Cache_Control="max-age=3600"))
    page = browser.open(app.authorize_url())
    assert (page.status, page.left_to) == (400, None)
    assert why in page.text
    assert house.sql("SELECT count(*) FROM clients") == [(0,)]
    website.publish("/client.json", describe(website))
    assert "/login" in browser.open(app.authorize_url()).url


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (301, {"Location": "/other.json"}, b""),
        (302, {"Location": "/other.json"}, b""),
        (307, {"Location": "/other.json"}, b""),
        (404, {}, b"{}"),
        (500, {}, b"{}"),
        (201, {}, None),
        (206, {}, None),
        (200, {"Content_Type": "text/html"}, b"<html>"),
        (200, {"Content_Type": "text/html"}, None),
        (200, {"Content_Encoding": "gzip"}, None),
        (200, {}, b"not json"),
        (200, {}, b"[" * 2000),
        (200, {}, b"\xff\xfe{}"),
        (200, {}, b'"text"'),
        (200, {}, b""),
    ],
)
def test_only_a_plain_answer_is_read(
    house: House, website: Website, browser: Browser, status: int, headers: dict[str, str], body: bytes | None
) -> None:
    """§4: 200 and JSON only, no redirects."""
    website.publish("/other.json", describe(website))
    app = app_of(house, website.publish("/client.json", describe(website) if body is None else body, status, **headers))
    page = browser.open(app.authorize_url())
    assert (page.status, page.left_to) == (503 if status >= 500 else 400, None)
    assert website.visits["/other.json"] == 0


@pytest.mark.parametrize(("status", "refused"), [(503, 503), (429, 503), (404, 401)])
def test_a_document_that_is_away_for_the_moment_is_no_unknown_client(
    house: House, website: Website, status: int, refused: int
) -> None:
    """RFC 6749 §5.2: clients throw their registration away on 401, and come again on 503."""
    app = app_of(house, website.publish("/client.json", b"{}", status))
    answer = app.refresh("gh_rt_x")
    word = "temporarily_unavailable" if refused == 503 else "invalid_client"
    assert (answer.status_code, answer.json()["error"]) == (refused, word)
    assert f"client.json could not be read: the answer had status {status}" in answer.json()["error_description"]
    assert answer.headers.get("retry-after") == ("5" if refused == 503 else None)


def test_a_redirect_uri_outside_the_document_is_a_page(house: House, website: Website, browser: Browser) -> None:
    app = app_of(house, website.publish("/client.json", describe(website)))
    for uri in ("http://127.0.0.1:4711/other", "https://evil.example/callback", "http://localhost:4711/callback"):
        page = browser.open(app.authorize_url(redirect_uri=uri))
        assert (page.status, page.left_to) == (400, None), uri


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/client.json",
        "https://localhost",
        "https://localhost/a/../client.json",
        "https://localhost/./client.json",
        "https://localhost/%2e%2e/client.json",
        "https://localhost/client.json#f",
        "https://user:password@localhost/client.json",
        "https:///client.json",
        "https://localhost:99999/client.json",
        "HTTPS://localhost/client.json",
        "https://localhost/" + "x" * 600,
        "https://localhost/a b",
        "https://localhost/\u202e",
    ],
)
def test_a_url_that_cannot_be_a_client_id_is_never_fetched(house: House, browser: Browser, url: str) -> None:
    """§3."""
    page = browser.open(app_of(house, url).authorize_url())
    assert (page.status, page.left_to) == (400, None)
    assert "could not be read" not in page.text


@pytest.mark.parametrize("host", ["a..example", "x" * 70 + ".example", ".example"])
def test_a_host_that_cannot_be_a_name_is_not_known(house: House, browser: Browser, host: str) -> None:
    """RFC 5891 §4.4: such a label has no form that could be looked up."""
    page = browser.open(app_of(house, f"https://{host}/client.json").authorize_url())
    assert (page.status, page.left_to) == (400, None)
    assert "its host is not known" in page.text


def test_a_changed_document_asks_for_consent_again(house: House, website: Website, browser: Browser) -> None:
    """§6.3: what was allowed was another client; a change that does not matter asks nothing."""
    app = app_of(house, website.publish("/client.json", describe(website), Cache_Control="max-age=60"))
    app.connect(browser)
    assert browser.open(app.authorize_url()).left_to
    house.turn_clock(seconds=70)
    website.publish("/client.json", describe(website, client_uri="https://quill.example"), Cache_Control="max-age=60")
    assert browser.open(app.authorize_url()).left_to
    house.turn_clock(seconds=70)
    website.publish("/client.json", describe(website, client_name="Quill 2"), Cache_Control="max-age=60")
    page = browser.open(app.authorize_url())
    assert "/consent" in page.url
    assert "Quill 2" in page.text


def test_a_document_that_changes_while_its_consent_page_is_open_is_asked_about_again(
    house: House, website: Website, browser: Browser
) -> None:
    """§6.3: Allow was for what was on the page."""
    app = app_of(house, website.publish("/client.json", describe(website), Cache_Control="max-age=60"))
    page = browser.sign_in(browser.open(app.authorize_url()))
    house.turn_clock(seconds=70)
    website.publish("/client.json", describe(website, client_name="Quill 2"))
    Browser(house.url).open(app.authorize_url())
    assert browser.decide(page).left_to
    assert "Quill 2" in browser.open(app.authorize_url()).text


def test_what_was_allowed_to_the_client_before_it_changed_does_not_come_back(
    house: House, website: Website, browser: Browser
) -> None:
    """§6.3: neither with a smaller answer to what it has become, nor with one to a page from before."""
    app = app_of(house, website.publish("/client.json", describe(website), Cache_Control="max-age=60"))
    app.connect(browser, scope="write api_keys")
    old = browser.open(app.authorize_url(scope="write", prompt="consent"))
    house.turn_clock(seconds=70)
    website.publish("/client.json", describe(website, client_name="Quill 2"))
    assert app.connect(browser, scope="read")["scope"] == "read"
    assert browser.open(app.authorize_url(scope="read")).left_to
    assert "/consent" in browser.open(app.authorize_url(scope="api_keys")).url
    browser.decide(old)
    assert "/consent" in browser.open(app.authorize_url(scope="write")).url


def test_a_removed_client_stays_removed(house: House, website: Website, browser: Browser) -> None:
    """Also when the rows of what is not used have been swept: its document would bring it back."""
    app = app_of(house, website.publish("/client.json", describe(website)))
    tokens = app.connect(browser)
    house.operator("client", "revoke", app.client_id)
    house.turn_clock(days=100)
    house.wait_for(sweep(house.world, house.world.now()))
    page = browser.open(app.authorize_url())
    assert (page.status, page.left_to) == (400, None)
    assert "removed" in page.text
    response = app.refresh(tokens["refresh_token"])
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_well_known_clients_come_in_when_their_document_cannot_be_fetched(house: House, browser: Browser) -> None:
    """The shipped copy; here nothing outside can be reached at all."""
    app = App(house.url, redirect_uri="http://localhost:51234/callback", client_id=CLAUDE_CODE)
    page = browser.sign_in(browser.open(app.authorize_url()))
    for words in ("Claude Code", "published by claude.ai", "localhost", "a program on this computer"):
        assert words in page.text
    assert app.redeem(browser.decide(page).answer["code"]).status_code == 200
    for near in (CLAUDE_CODE + "/", CLAUDE_CODE.replace("claude.ai", "claude.evil.example"), CLAUDE_CODE + "?x=1"):
        app.client_id = near
        assert browser.open(app.authorize_url()).status == 503


def test_an_endless_document_is_cut_off(house: House, website: Website, browser: Browser) -> None:
    """§6.6: bytes are bounded."""

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 1000)

    page = browser.open(app_of(house, website.answers("/endless.json", endless)).authorize_url())
    assert "larger than" in page.text


def test_while_a_document_is_waited_for_everybody_else_is_served(
    house: House, website: Website, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§6.6: seconds are bounded, and a silent host costs nothing but the request that asked for its document."""
    assert fetch.SECONDS == 5
    monkeypatch.setattr(fetch, "SECONDS", 3)

    def silent(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(1)  # until the other side gives up

    url = app_of(house, website.answers("/silent.json", silent)).authorize_url()
    quick = app_of(house, website.publish("/client.json", describe(website)))
    registered = App(house.url)
    registered.register()
    with ThreadPoolExecutor() as others:
        began = time.monotonic()
        waiting = others.submit(lambda: http().get(url))
        while not website.visits["/silent.json"]:
            assert time.monotonic() - began < 2, "it was never asked for"
        tokens = registered.connect(browser)
        assert registered.call("whoami", tokens["access_token"]).status_code == 200
        assert "/consent" in browser.open(quick.authorize_url()).url, "nor does it hold up another document"
        longest = max(http().get(f"{house.url}/.well-known/openid-configuration").elapsed for _ in range(10))
        assert longest.total_seconds() < 0.5
        assert not waiting.done()
        assert waiting.result().status_code == 503
        assert "took longer than 3 seconds" in waiting.result().text
        assert 2.5 < time.monotonic() - began < 6


def test_twenty_at_once_share_one_fetch(house: House, website: Website) -> None:
    from threading import Event

    let_go = Event()
    document = describe(website)
    website.publish("/copy.json", document)
    ready = website._pages["/copy.json"]

    def held(handler: BaseHTTPRequestHandler) -> None:
        let_go.wait(5)
        ready(handler)

    url = app_of(house, website.answers("/client.json", held)).authorize_url()
    with ThreadPoolExecutor(20) as crowd:
        answers = [crowd.submit(lambda: http().get(url).status_code) for _ in range(20)]
        began = time.monotonic()
        while house.sql("SELECT hits FROM rate_counters WHERE key LIKE 'client-document:%'") != [(20,)]:
            assert time.monotonic() - began < 4, "not all of them have come to the fetch"
        let_go.set()
        assert [answer.result() for answer in answers] == [303] * 20
    assert website.visits["/client.json"] == 1


@pytest.mark.parametrize("address", SPECIAL.split())
def test_no_address_of_a_private_or_special_network_is_connected_to(address: str) -> None:
    """§6.5, RFC 6890: not even wrapped into IPv6."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.fixture
def public_house(dsn: str, authority: Path) -> Iterator[House]:
    """A server that is not on loopback by its own account, so loopback is as private as any other network."""
    house = House(dsn, ca_file=authority, public_url="https://mcp.example.com").start()
    yield house
    house.stop()


def test_a_public_server_does_not_look_at_its_own_computer(house: House, public_house: House, website: Website) -> None:
    """And what is checked is what is connected to: the name is looked up once."""
    url = website.publish("/client.json", describe(website))
    port = website.url.rsplit(":", 1)[1]
    local = f"http://127.0.0.1:{public_house._listener.getsockname()[1]}"
    for spelled in (url, f"https://127.0.0.1:{port}/client.json", f"https://2130706433:{port}/client.json"):
        page = http().get(App(local, client_id=spelled).authorize_url())
        assert page.status_code == 400, spelled
        assert "public internet" in page.text
    assert website.visits.total() == 0


@pytest.mark.anyio
async def test_a_name_that_changes_between_look_and_leap_does_not_matter(website: Website, authority: Path) -> None:
    """DNS rebinding: there is one look-up, and its address is the one that is used."""
    answers = iter([["93.184.215.14", "10.0.0.1"], ["127.0.0.1"]])
    outside = Outside(loopback=True, ca_file=authority, resolve=lambda host, port: next(answers))
    url = website.publish("/client.json", {})
    with pytest.raises(Unfetchable, match="public internet"):
        await outside.json(url, limit=100)
    assert (await outside.json(url, limit=100)).value == {}
    with pytest.raises(StopIteration):
        next(answers)
    outside.close()


def test_the_operator_may_close_the_door_or_name_who_comes_in(house: House, dsn: str, authority: Path) -> None:
    """The switch and the allow-list; nothing is fetched from whom nobody named."""
    site = Website(authority)
    url = site.publish("/client.json", describe(site))
    for options, status in (
        ({"client_documents": "off"}, 400),
        ({"client_documents": "listed"}, 400),
        ({"client_documents": "listed", "client_document_hosts": ("localhost",)}, 303),
        ({"pinned_documents": False}, 303),
    ):
        other = House(dsn, ca_file=authority, **options).start()
        try:
            assert http().get(app_of(other, url).authorize_url()).status_code == status
            metadata = http().get(f"{other.url}/.well-known/oauth-authorization-server").json()
            assert metadata["client_id_metadata_document_supported"] is (options.get("client_documents") != "off")
            if "pinned_documents" in options:
                assert http().get(App(other.url, client_id=CLAUDE_CODE).authorize_url()).status_code == 503
        finally:
            other.stop()
    site.close()
