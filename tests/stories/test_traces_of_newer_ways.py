"""What the operator reads of pushed requests, devices, client documents, signing clients, OpenID and token exchange."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.clients.assertion import JWT_BEARER
from app.outside import faults
from tests.actors import DEVICE_CODE, App, Browser, Device, device_authorization
from tests.conftest import House
from tests.rfc.test_client_id_metadata_document import CLAUDE_CODE, describe
from tests.signers import Signer
from tests.stories.test_traces import look_around, only, quill, read, traced
from tests.websites import Website

__all__ = ["quill", "traced"]  # fixtures
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def whats(told: dict[str, Any]) -> list[str]:
    return [step["what"] for step in told["steps"]]


# Pushed requests (RFC 9126)


def push(app: App, **changed: str) -> dict[str, Any]:
    fields = {"response_type": "code", "redirect_uri": app.redirect_uri, "code_challenge": app.code_challenge}
    fields |= {"code_challenge_method": "S256", "client_id": app.client_id, "state": "state-canary"}
    answer: dict[str, Any] = app.http.post(f"{app.url}/par", data=fields | changed).json()
    return answer


def open_pushed(app: App, browser: Browser, request_uri: str) -> Any:
    return browser.open(f"{app.url}/authorize?client_id={app.client_id}&request_uri={request_uri}")


def test_a_pushed_request_and_its_authorization_are_one_attempt(traced: House, quill: App, browser: Browser) -> None:
    look_around(quill)
    quill.register()
    page = browser.decide(browser.sign_in(open_pushed(quill, browser, push(quill)["request_uri"])))
    token = quill.redeem(page.answer["code"]).json()["access_token"]
    assert quill.call("whoami", token).status_code == 200
    told = only(traced)
    assert told["state"] == "connected"
    assert whats(told)[:6] == ["mcp", "discovery", "discovery", "registration", "pushed", "authorize"]
    links = traced.sql("SELECT links[1] FROM trace_steps WHERE what IN ('pushed', 'authorize') ORDER BY id")
    assert len({row[0] for row in links}) == 1, "joined by more than the address and the client"
    assert "canary" not in json.dumps(told)


def test_a_pushed_request_without_a_browser_or_with_a_fault(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    uri = push(quill)["request_uri"]
    assert only(traced)["state"] == "in progress"
    told = only(traced, later=90)
    assert told["verdict"] == "Quill pushed its request to /par and never opened the sign-in page with it."
    assert "90 seconds" in told["next_step"]
    traced.turn_clock(seconds=100)
    open_pushed(quill, browser, uri)
    told = only(traced)
    assert "this request_uri is too old" in told["verdict"]
    assert "good for 90 seconds" in told["next_step"]
    push(quill, redirect_uri="https://elsewhere.example/cb")
    assert "wants to be answered at https://elsewhere.example/cb, but registered" in read(traced)[-1]["verdict"]
    push(quill, client_id="client_gone")
    assert "not registered here" in read(traced)[-1]["verdict"]


# Devices (RFC 8628)


@pytest.fixture
def device(traced: House, quill: App) -> Device:
    look_around(quill)
    return Device.of(quill)


def test_a_device_and_its_persons_browser_are_one_attempt(traced: House, device: Device, browser: Browser) -> None:
    for seconds in (5, 5, 5):
        assert device.word() == "authorization_pending"
        traced.turn_clock(seconds=seconds)
    page = browser.open(device.complete)
    browser.sign_in(page)
    device.decide(browser)
    traced.turn_clock(seconds=5)
    device.app.call("whoami", device.poll().json()["access_token"])
    told = only(traced)
    assert (told["state"], told["account"]) == ("connected", "ada@example.com")
    assert whats(told)[:5] == ["mcp", "discovery", "discovery", "registration", "device"]
    assert {"device page", "device decision"} <= set(whats(told))
    assert whats(told).count("sign-in") == 2, "the page, and the password"
    words = [step["words"] for step in told["steps"] if step["what"] == "token"]
    assert len(words) == 2, "of three polls that had to wait, one"
    assert "told to wait for its user" in words[0]
    assert words[1] == "token issued for a device's code (scope: read write)"
    text = json.dumps(told) + json.dumps(traced.sql("SELECT * FROM trace_steps"), default=str)
    assert device.device_code not in text
    assert device.user_code not in text
    assert device.user_code.replace("-", "") not in text


def test_a_device_that_nobody_helps(traced: House, device: Device, browser: Browser) -> None:
    device.poll()
    assert "turn of the person who is to enter the device's code" in only(traced, later=500)["verdict"]
    told = only(traced, later=200)
    assert (told["state"], told["verdict"]) == ("abandoned", "The device showed a code, and nobody entered it.")
    traced.turn_clock(minutes=11)
    assert device.word() == "expired_token"
    assert only(traced)["verdict"] == "The device's code ran out before anybody entered it."


def test_a_device_whose_person_denies_or_wavers(traced: House, device: Device, browser: Browser) -> None:
    device.entered(browser)
    assert "neither Allow nor Deny" in only(traced, later=700)["verdict"]
    traced.sql("TRUNCATE trace_steps")
    device.decide(browser, "deny")
    assert only(traced)["verdict"] == "The person pressed Deny for the device."
    assert device.word() == "access_denied"
    assert only(traced)["verdict"] == "The person pressed Deny for the device."


def test_a_device_that_is_allowed_and_asks_no_more(traced: House, device: Device, browser: Browser) -> None:
    device.decide(browser)
    assert only(traced)["state"] == "in progress"
    told = only(traced, later=90)
    assert "did not ask for its token any more" in told["verdict"]
    assert "can it reach this server" in told["next_step"]


def test_a_device_that_asks_too_often(traced: House, device: Device) -> None:
    for _ in range(5):
        device.poll()
    told = only(traced)
    assert told["state"] == "in progress"
    assert whats(told).count("token") == 2, "the first that had to wait, the first that was too early"
    assert "asked too often" in told["steps"][-1]["words"]


def test_a_code_that_no_device_shows(traced: House, device: Device, browser: Browser) -> None:
    device.entered(browser, "BBBB-BBBB")
    assert "that no device waits for" in " ".join(told["verdict"] for told in read(traced))
    device.entered(browser)
    assert len([told for told in read(traced) if "device" in whats(told)]) == 1


def test_a_device_that_may_not(traced: House, quill: App) -> None:
    quill.register()
    assert device_authorization(quill).json()["error"] == "unauthorized_client"
    told = only(traced)
    assert "did not register for that" in told["verdict"]
    assert f"{DEVICE_CODE} in the grant_types" in told["next_step"]
    quill.client_id = "client_gone"
    device_authorization(quill)
    assert "not registered here" in read(traced)[-1]["verdict"]


# Documents (the draft of Client ID Metadata Documents)


def app_of(traced: House, url: str) -> App:
    return App(traced.url, redirect_uri="http://127.0.0.1:4711/callback", client_id=url)


def test_a_document_that_is_read(traced: House, website: Website, browser: Browser) -> None:
    app = app_of(traced, website.publish("/client.json", describe(website), Cache_Control="max-age=60"))
    look_around(app)
    app.call("whoami", app.connect(browser)["access_token"])
    told = only(traced)
    assert (told["state"], told["client_name"]) == ("connected", "Quill")
    assert "next_step" not in told
    traced.turn_clock(seconds=70)
    website.publish("/client.json", describe(website, client_name="Quill 2"))
    browser.open(app.authorize_url())
    changed = [step for told in read(traced) for step in told["steps"] if "document has changed" in step["words"]]
    assert [step["path"] for step in changed] == ["/authorize"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "why", "cure"),
    [
        (403, {}, b"{}", "could not be read: the answer had status 403 instead of 200", "for a robot"),
        (404, {}, b"{}", "could not be read: the answer had status 404 instead of 200", "maker of the client"),
        (200, {"Content_Type": "text/html"}, b"<html>", "not of type application/json", "gatehouse client add"),
        (200, {}, b'{"client_id": "https://other.example/"}', "what is there will not do", "maker of the client"),
    ],
)
def test_a_document_that_will_not_do(
    traced: House,
    website: Website,
    browser: Browser,
    status: int,
    headers: dict[str, str],
    body: bytes,
    why: str,
    cure: str,
) -> None:
    app = app_of(traced, website.publish("/client.json", body, status, **headers))
    page = browser.open(app.authorize_url())
    told = only(traced)
    assert told["state"] == "failed"
    assert why in told["verdict"]
    assert app.client_id in told["verdict"]
    assert cure in told["next_step"]
    assert page.headers["x-request-id"] == told["id"]
    app.token(grant_type="authorization_code", code="gh_code_x", code_verifier="x" * 43)
    assert why in only(traced)["verdict"], "at the token endpoint as in the browser"


def test_a_host_that_does_not_answer_or_is_not_there(traced: House, website: Website, browser: Browser) -> None:
    website.close()
    browser.open(app_of(traced, f"{website.url}/client.json").authorize_url())
    assert "outbound https blocked" in only(traced)["next_step"]
    browser.open(app_of(traced, "https://nowhere.invalid/client.json").authorize_url())
    assert "getent hosts nowhere.invalid" in read(traced)[-1]["next_step"]


def test_a_certificate_that_is_not_trusted_here(traced: House, website: Website, dsn: str) -> None:
    url = website.publish("/client.json", describe(website))
    with another(dsn) as other:
        Browser(other.url).open(app_of(other, url).authorize_url())
        other.wait_for(other.world.traces.flush())
        assert "GATEHOUSE_CA_FILE" in read(traced)[-1]["next_step"]


class another:
    """A second server on the same database, with other settings."""

    def __init__(self, dsn: str, **options: Any) -> None:
        self._house = House(dsn, **options)

    def __enter__(self) -> House:
        return self._house.start()

    def __exit__(self, *gone: object) -> None:
        self._house.stop()


@pytest.mark.parametrize(
    ("options", "said", "cure"),
    [
        ({"client_documents": "off"}, "switched off here", "Set it to any or listed"),
        ({"client_documents": "listed"}, "not on your list", "add claude.ai to GATEHOUSE_CLIENT_DOCUMENT_HOSTS"),
        ({"public_url": "https://mcp.example.com"}, "not on the public internet", "gatehouse client add"),
    ],
)
def test_what_the_operator_closed(traced: House, dsn: str, options: dict[str, Any], said: str, cure: str) -> None:
    url = "https://127.0.0.1/client.json" if "public_url" in options else CLAUDE_CODE
    with another(dsn, **options) as other:
        other.wait_for(other.world.traces.flush())
        local = f"http://127.0.0.1:{other._listener.getsockname()[1]}"
        Browser(local).open(App(local, client_id=url).authorize_url())
        other.wait_for(other.world.traces.flush())
    told = read(traced)[-1]
    assert said in told["verdict"]
    assert cure in told["next_step"]


def test_a_removed_document_client(traced: House, website: Website, browser: Browser) -> None:
    app = app_of(traced, website.publish("/client.json", describe(website)))
    browser.open(app.authorize_url())
    traced.operator("client", "revoke", app.client_id)
    browser.open(app.authorize_url())
    assert "was removed here with `gatehouse client revoke`" in only(traced)["verdict"]


def test_a_copy_stands_in(traced: House, website: Website, browser: Browser) -> None:
    """Connected, and the operator still learns that the document could not be fetched. It cannot call itself a shipped copy."""
    document = describe(website, gatehouse_copy_of="2020-01-01")
    app = app_of(traced, website.publish("/client.json", document, Cache_Control="max-age=60"))
    browser.open(app.authorize_url())
    traced.turn_clock(seconds=70)
    traced.wait_for(traced.world.traces.flush())
    traced.sql("TRUNCATE trace_steps")
    website.publish("/client.json", b"", 403)
    app.call("whoami", app.connect(browser)["access_token"])
    told = only(traced)
    assert told["state"] == "connected"
    host = website.url.removeprefix("https://")
    said = (
        f"document at {host} could not be fetched (the answer had status 403 instead of 200), so the copy from the last"
    )
    assert said in told["verdict"]
    assert "ask them to let its address through" in told["next_step"]
    assert said in traced.operator("trace", told["id"])


def test_the_shipped_copy_stands_in(traced: House, browser: Browser) -> None:
    """Here nothing outside can be reached at all; and it is still the shipped copy when it is due again."""
    app = App(traced.url, redirect_uri="http://localhost:51234/callback", client_id=CLAUDE_CODE)
    for _ in range(2):
        browser.open(app.authorize_url())
        told = only(traced)
        assert "so the copy of 2026-09-08 that comes with Gatehouse was used" in told["verdict"]
        assert "A copy may be out of date." in told["next_step"]
        traced.sql("TRUNCATE trace_steps")
        traced.turn_clock(seconds=70)
    browser.open(app.authorize_url(redirect_uri="https://claude.ai/new_callback"))
    told = only(traced)
    assert (
        "answered at https://claude.ai/new_callback, but its document lists http://localhost/callback or"
        in told["verdict"]
    )
    assert "the copy of 2026-09-08" in told["verdict"], "which may well be why"


def test_a_host_that_is_away_is_waited_for_once_a_minute(traced: House, website: Website, browser: Browser) -> None:
    """Stale-if-error; else a sign-in waited five seconds at each of its steps while a document's host is silent."""
    app = app_of(traced, website.publish("/client.json", describe(website), Cache_Control="max-age=60"))
    browser.open(app.authorize_url())
    website.publish("/client.json", b"", 500)
    traced.turn_clock(seconds=70)
    for _ in range(3):
        app.code(Browser(traced.url))
    assert website.visits["/client.json"] == 2
    traced.turn_clock(seconds=faults.AGAIN.total_seconds() + 1)
    browser.open(app.authorize_url())
    assert website.visits["/client.json"] == 3
    website.publish("/client.json", describe(website))
    traced.turn_clock(seconds=faults.AGAIN.total_seconds() + 1)
    browser.open(app.authorize_url())
    browser.open(app.authorize_url())
    assert website.visits["/client.json"] == 4


# private_key_jwt (RFC 7523)


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def signing(traced: House, quill: App, signer: Signer) -> App:
    quill.register(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [signer.jwk]})
    return quill


def proven(app: App, assertion: str) -> Any:
    proof = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER, "client_id": None}
    return app.token(grant_type="refresh_token", refresh_token="gh_rt_x", **proof)


@pytest.mark.parametrize(
    ("changed", "said", "cure"),
    [
        (
            {"aud": "https://old.example"},
            "its client_assertion is meant for another audience",
            "https://old.example, and",
        ),
        ({"exp": 1000}, "its client_assertion expired", "Compare the clocks"),
        ({"nbf": 9_000_000_000}, "is not valid yet", "Compare the clocks"),
        ({"exp": 9_000_000_000}, "is valid for longer than 3600 seconds", "an hour at most"),
        ({"jti": None}, "has no jti", "RFC 7523"),
    ],
)
def test_an_assertion_with_a_fault(
    traced: House, signing: App, signer: Signer, changed: dict[str, Any], said: str, cure: str
) -> None:
    proven(signing, signer.assertion(signing.client_id, traced.url, traced.clock(), **changed))
    told = only(traced)
    assert told["verdict"].startswith("Quill did not prove who it is: its client_assertion ")
    assert said in told["verdict"]
    assert cure in told["next_step"]


def test_an_assertion_that_comes_twice_is_not_kept_itself(traced: House, signing: App, signer: Signer) -> None:
    assertion = signer.assertion(signing.client_id, traced.url, traced.clock(), jti="jti-canary")
    proven(signing, assertion)
    proven(signing, assertion)
    assert "its client_assertion was used before" in only(traced)["verdict"]
    rows = json.dumps(traced.sql("SELECT * FROM trace_steps"), default=str)
    assert not [part for part in assertion.split(".") if part in rows]
    assert "canary" not in rows


def test_a_key_that_is_not_the_clients(traced: House, signing: App) -> None:
    proven(signing, Signer(kid="other").assertion(signing.client_id, traced.url, traced.clock()))
    assert "It names the key other (ES256)" in only(traced)["next_step"]
    signing.token(grant_type="refresh_token", refresh_token="gh_rt_x")
    told = only(traced)
    assert told["verdict"] == "Quill did not prove who it is: this client authenticates with a client_assertion."
    assert "registered to sign" in told["next_step"]


def test_a_secret_too_many_and_one_too_few(traced: House, quill: App) -> None:
    """To be added again helps in neither case: what is typed in has to change."""
    quill.register()
    quill.client_secret = "typed in by hand"
    quill.refresh("gh_rt_x")
    told = only(traced)
    assert told["verdict"] == "Quill did not prove who it is: this client is public; send no client_secret."
    assert "Take the secret out" in told["next_step"]
    quill.register(token_endpoint_auth_method="client_secret_post")
    quill.client_secret = None
    quill.refresh("gh_rt_x")
    told = next(one for one in read(traced) if one["client_id"] == quill.client_id)
    assert told["verdict"] == "Quill did not prove who it is: this client has a secret, and none was sent."
    assert "Type the secret in" in told["next_step"]


def test_keys_that_cannot_be_read(traced: House, quill: App, website: Website, signer: Signer) -> None:
    uri = website.publish("/jwks.json", b"", 403)
    quill.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=uri)
    answer = proven(quill, signer.assertion(quill.client_id, traced.url, traced.clock()))
    assert "keys of this client could not be read: the answer had status 403" in answer.json()["error_description"]
    told = only(traced)
    assert f"its public keys at {uri} could not be read: the answer had status 403" in told["verdict"]
    assert "for a robot" in told["next_step"]


# OpenID, token exchange, client management


def test_a_site_that_only_signs_people_in_is_connected(traced: House, quill: App, browser: Browser) -> None:
    """It calls no tool, and that is no fault of an edge filter."""
    quill.register()
    token = quill.connect(browser, scope="openid email")["access_token"]
    told = only(traced, later=90)
    assert (told["state"], "signed ada@example.com in (OpenID Connect)" in told["verdict"]) == ("connected", True)
    for _ in range(3):
        quill.http.get(f"{quill.url}/userinfo", headers={"Authorization": f"Bearer {token}"})
    told = only(traced)
    assert "was told at /userinfo who ada@example.com is" in told["verdict"]
    assert whats(told).count("userinfo") == 1


def test_a_token_without_openid_at_userinfo(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    token = quill.connect(browser)["access_token"]
    quill.http.get(f"{quill.url}/userinfo", headers={"Authorization": f"Bearer {token}"})
    told = only(traced)
    assert "given without the scope openid" in told["verdict"]
    assert "ask for openid" in told["next_step"]


def test_a_token_for_a_token(traced: House, quill: App, browser: Browser) -> None:
    quill.register(grant_types=["authorization_code", EXCHANGE])
    token = quill.connect(browser)["access_token"]
    fields = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    for _ in range(3):
        assert quill.token(**fields, scope="read").status_code == 200
    told = only(traced)
    assert (told["state"], told["verdict"]) == ("connected", "A token was exchanged for another, with scope read.")
    assert whats(told).count("token") == 2
    assert quill.token(**fields, scope="api_keys").status_code == 400
    told = only(traced)
    assert told["verdict"] == "A token was not exchanged: scope asks for more than the subject_token has."
    assert token not in json.dumps(traced.sql("SELECT * FROM trace_steps"), default=str)


def test_a_client_that_ends_itself(traced: House, quill: App) -> None:
    answer = quill.register(token_endpoint_auth_method="client_secret_post")
    itself, bearer = answer["registration_client_uri"], f"Bearer {answer['registration_access_token']}"
    quill.http.get(itself, headers={"Authorization": bearer})
    assert quill.http.delete(itself, headers={"Authorization": bearer}).status_code == 204
    told = only(traced)
    assert told["verdict"] == "The client deleted its own registration."
    assert [(step["what"], step["client_id"]) for step in told["steps"]] == [
        ("registration", quill.client_id),
        ("management", quill.client_id),
    ]
    quill.http.delete(itself, headers={"Authorization": bearer})
    assert "may not change its registration" in only(traced)["verdict"]
    assert answer["registration_access_token"] not in json.dumps(traced.sql("SELECT * FROM trace_steps"), default=str)
