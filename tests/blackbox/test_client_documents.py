"""Checks 20 to 30: a client_id that is the URL of the client's own description (draft-ietf-oauth-client-id-metadata-document)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.clients.assertion import JWT_BEARER
from tests.actors import App, Browser, Page, http
from tests.blackbox.conftest import Knocks
from tests.conftest import House
from tests.signers import Signer
from tests.websites import Website

PRIVATE = """
127.0.0.1 10.0.0.1 172.16.0.1 192.168.0.1 169.254.169.254 0.0.0.0 100.64.0.1
[::1] [fc00::1] [fe80::1] [::ffff:10.0.0.1] [::ffff:127.0.0.1] [64:ff9b::a00:1] [2002:7f00:1::1]
"""


def describe(url: str, **changed: Any) -> dict[str, Any]:
    document = {"client_id": url, "client_name": "Quill", "redirect_uris": ["http://127.0.0.1/callback"]} | changed
    return {name: value for name, value in document.items() if value is not None}


def asked(house: House, url: str) -> Page:
    return Browser(house.url).open(App(house.url, client_id=url).authorize_url())


def is_a_page(page: Page, status: int = 400) -> bool:
    return (page.status, page.left_to) == (status, None) and page.headers["content-type"].startswith("text/html")


def test_a_document_of_another_client_id_is_refused(house: House, website: Website) -> None:
    """Check 21, CIMD-2, CIMD-10: CIMD §4.1, simple string comparison; the page has the error's own word."""
    url = website.url + "/client.json"
    upper = url.replace("client.json", "Client.json")
    for other in (f"{url}/", f"{url}#", f"{url}?", url.replace("https", "HTTPS"), upper):
        website.publish("/client.json", describe(url, client_id=other))
        page = asked(house, url)
        assert is_a_page(page), other
        assert "invalid_client" in page.text
        assert "client_id is not the URL" in page.text


@pytest.mark.parametrize("fault", ["not JSON", "client_name", "redirect_uris"])
def test_a_broken_document_is_not_kept_so_mending_it_helps_at_once(house: House, website: Website, fault: str) -> None:
    """Check 23, CIMD-5, CIMD-15: CIMD §4.1 and §4.3."""
    url = website.url + "/client.json"
    broken: Any = b"{client" if fault == "not JSON" else describe(url, **{fault: None})
    website.publish("/client.json", broken, Cache_Control="max-age=86400")
    assert is_a_page(asked(house, url))
    website.publish("/client.json", describe(url))
    assert "/login" in asked(house, url).url
    assert website.visits["/client.json"] == 2


def test_a_url_that_cannot_be_a_client_id_is_refused_without_a_fetch(house: House, knocks: Knocks) -> None:
    """Check 25, CIMD-11: CIMD §3."""
    here = f"localhost:{knocks.port}"
    urls = [f"http://{here}/client.json", f"https://{here}", f"https://{here}/client.json#f"]
    urls += [f"https://{here}/{path}" for path in ("a/../b", "./b", "%2E%2e/b")]
    urls += [f"https://u:p@{here}/client.json", f"https://u@{here}/client.json"]
    for url in urls:
        assert is_a_page(asked(house, url)), url
        assert knocks.count == 0, url
    assert is_a_page(asked(house, f"https://{here}/client.json"), 503)
    assert knocks.count == 1, "whereas this one was worth a try"


def test_no_private_address_is_connected_to(house: House, public: House, knocks: Knocks) -> None:
    """Check 26, CIMD-6, CIMD-14: CIMD §6.5, RFC 6890; also wrapped into IPv6, and at once rather than after a timeout."""
    began = time.monotonic()
    for host in PRIVATE.split():
        page = asked(public, f"https://{host}:{knocks.port}/client.json")
        assert is_a_page(page), host
        assert "public internet" in page.text, host
    assert is_a_page(asked(public, f"https://localhost:{knocks.port}/client.json"))
    assert knocks.count == 0
    assert time.monotonic() - began < 4


def test_nor_for_the_keys_that_a_client_names(house: House, public: House, knocks: Knocks) -> None:
    """CIMD-14: CIMD §6.5 on the URLs in a document; here in a registration, which names them in the same words."""
    app, signer = App(public.url), Signer()
    app.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=f"https://localhost:{knocks.port}/jwks.json")
    assertion = signer.assertion(app.client_id, public.settings.issuer, public.clock())
    answer = app.refresh("x", client_assertion=assertion, client_assertion_type=JWT_BEARER, client_id=None)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert knocks.count == 0


def test_a_document_that_registers_keys_is_held_to_them(house: House, website: Website) -> None:
    """Check 30, CIMD-18: RFC 7523 §2.2; before the code is even looked at."""
    url, signer = website.url + "/client.json", Signer()
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [signer.jwk]}}
    website.publish("/client.json", describe(url, **keys))
    app = App(house.url, client_id=url)
    for without in (app.redeem("gh_code_x"), app.redeem("gh_code_x", client_secret="x"), app.refresh("gh_rt_x")):
        assert (without.status_code, without.json()["error"]) == (401, "invalid_client")
    proof = {"client_assertion": signer.assertion(url, house.url, house.clock()), "client_assertion_type": JWT_BEARER}
    assert app.redeem("gh_code_x", **proof).json()["error"] == "invalid_grant", "with it the client is let in"
    assert http().get(f"{house.url}/healthz").status_code == 200
