"""Admins add services; operators write them down. What is wrong is told at once, and no secret is shown again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.protocol.known_providers import KNOWN_PROVIDERS
from app.protocol.provider_definition import KEYS
from app.resources.model import Upstream as CallersToken
from app.resources.model import UrlBackend
from app.resources.read import Source, parsed
from app.settings.providers import read
from app.settings.read import SettingsError, load
from tests.actors import Browser, Page
from tests.admins import AdminBrowser, events
from tests.conftest import ROOT, SECRET_KEY, House
from tests.stories.test_client_guide import blocks
from tests.upstreams import CLIENT, SECRET, Upstream, signs_in

HERE = "/admin/providers"


@pytest.fixture
def ada(house: House) -> AdminBrowser:
    house.add_user(admin=True)
    return AdminBrowser(house)


def save(ada: AdminBrowser, **fields: str) -> Page:
    page = ada.open(HERE)
    usual = {"client_id": CLIENT, "client_secret": SECRET, "use": "sign_in"}
    return ada.send(f"{HERE}/save", csrf=page.field("csrf"), **usual | fields)


def test_a_service_is_added_used_and_removed(house: House, ada: AdminBrowser, acme: Upstream) -> None:
    """By its issuer alone; people sign in with it at once, and the secret is sealed and never shown."""
    page = save(ada, name="fresh", title="Fresh", issuer=acme.url)
    assert "Saved." in page.text, page.text
    assert f"{house.url}/callback/fresh" in page.text
    assert SECRET not in page.text
    assert SECRET not in repr(house.sql("SELECT * FROM providers"))
    assert "Continue with Fresh" in Browser(house.url).open("/login").text
    acme.person |= {"email": "new@example.com"}
    assert signs_in(Browser(house.url), "fresh").url.endswith("/account")
    assert "Saved." in save(ada, name="fresh", title="Fresher", issuer=acme.url, client_secret="").text
    assert signs_in(Browser(house.url), "fresh").url.endswith("/account")
    page = ada.press(HERE, f"{HERE}/remove", name="fresh")
    assert "The service is removed." in page.text
    assert "Fresher" not in Browser(house.url).open("/login").text
    assert [
        row[0] for row in house.sql("SELECT event FROM audit_events WHERE event LIKE 'provider.%' ORDER BY id")
    ] == [
        "provider.saved",
        "provider.saved",
        "provider.removed",
    ]
    assert events(house, "provider.removed")


def test_a_known_service_needs_an_id_and_a_secret(house: House, ada: AdminBrowser, acme: Upstream) -> None:
    assert "Saved." in save(ada, kind="github").text
    assert "Continue with GitHub" in Browser(house.url).open("/login").text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Bad Name", "issuer": "https://x.example"}, "must be named in small letters"),
        ({"name": "x", "issuer": "http://x.example"}, "must be an https URL"),
        ({"name": "x"}, "needs an issuer"),
        ({"name": "x", "issuer": "http://localhost:1"}, "cannot be had"),
        ({"name": "acme", "issuer": "http://localhost:1"}, "is in the settings"),
        ({"kind": "github", "scopes": 'a"b'}, "must be a list of scopes"),
        ({"kind": "github", "client_id": ""}, "client_id is missing"),
        ({"kind": "github", "use": "nothing"}, "is for nothing"),
        ({"kind": "github", "title": "x" * 61}, "at most 60"),
    ],
)
def test_what_is_wrong_is_told(house: House, ada: AdminBrowser, fields: dict[str, str], words: str) -> None:
    page = save(ada, **fields)
    assert page.status in (400, 409), page.text
    assert words.lower() in page.text.lower()
    assert house.sql("SELECT count(*) FROM providers") == [(0,)]


def test_nobody_else_is_told_of_it(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    assert browser.open(HERE).status == 404


# The settings ------------------------------------------------------------------------------------------------------------


def test_a_file_or_json_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three ways of docs/upstream.md: a known service, an issuer, endpoints; secrets named instead of written."""
    monkeypatch.setenv("GITHUB_SECRET", "from the environment")
    (tmp_path / "secret").write_text("from a file\n")
    file = tmp_path / "providers.toml"
    file.write_text(
        """
        [providers.github]
        client_id = "a"
        client_secret = { env = "GITHUB_SECRET" }
        connect_scopes = ["repo"]

        [providers.acme]
        issuer = "https://id.acme.example"
        client_id = "b"
        client_secret = { file = "secret" }

        [providers.plain]
        client_id = "c"
        authorization_endpoint = "https://plain.example/authorize"
        token_endpoint = "https://plain.example/token"
        sign_in = false
        """
    )
    github, acme, plain = read(str(file))
    assert (github.client_secret, acme.client_secret, plain.client_secret) == (
        "from the environment",
        "from a file",
        "",
    )
    assert github.connect is not None
    assert github.connect.scopes == ("repo",)
    assert (acme.is_openid, plain.is_openid, plain.sign_in) == (True, False, None)
    assert plain.token_endpoint_auth_method == "none"
    assert read(json.dumps({"github": {"client_id": "a"}}))[0].title == "GitHub"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/nowhere/providers.toml", "cannot be read"),
        ("{", "neither a TOML file nor JSON"),
        ('{"x": 7}', "x: must be a table"),
        ('{"x": {"client_id": "a"}, "y": {"client_id": 7}}', "y: client_id must be a text"),
        ('{"x": {"client_id": "a", "colour": "red"}}', "colour is not known here"),
        ('{"github": {"client_id": "a", "client_secret": {"env": "NOT_SET"}}}', "NOT_SET is not set"),
        ('{"github": {"client_id": "a", "client_secret": {"file": "/nowhere"}}}', "cannot be read"),
        ('{"github": {"client_id": "a", "sign_in": "yes"}}', "must be true or false"),
        ('{"microsoft": {"client_id": "a", "tenant": "../x"}}', "tenant"),
    ],
)
def test_faults_of_the_settings(text: str, words: str) -> None:
    given = {"public_url": "http://localhost:1", "database_url": "postgresql://x@y/z", "secret_key": SECRET_KEY}
    with pytest.raises(SettingsError, match="GATEHOUSE_PROVIDERS") as fault:
        load(**given, providers=text)
    assert words in str(fault.value)


def test_one_tenant_of_microsoft() -> None:
    tenant = "9122040d-6c67-4c5b-b112-36a304b66dad"
    [microsoft] = read(json.dumps({"microsoft": {"client_id": "a", "tenant": tenant, "trust_email": True}}))
    assert microsoft.issuer == f"https://login.microsoftonline.com/{tenant}/v2.0"
    assert microsoft.trusts_email


def test_the_file_of_the_docs_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/upstream.md, as it stands; and every key that may be written is in its table."""
    docs = (ROOT / "docs/upstream.md").read_text()
    text = docs.split("```toml\n")[1].split("```")[0]
    secret = tmp_path / "acme"
    secret.write_text("x")
    monkeypatch.setenv("GITHUB_CLIENT_SECRET", "x")
    file = tmp_path / "providers.toml"
    file.write_text(text.replace("/run/secrets/acme", str(secret)))
    assert [provider.name for provider in read(str(file))] == ["github", "acme", "notes"]
    for key in KEYS - {"client_id", "client_secret", "title"}:
        assert f"`{key}`" in docs, key
    for name in KNOWN_PROVIDERS:
        assert f"`{name}`" in docs


def test_the_other_examples_of_the_docs_hold(tmp_path: Path) -> None:
    """The resource is one without faults, and the Python is Python."""
    page = ROOT / "docs" / "upstream.md"
    resource = parsed(blocks(page, "toml")[1], Source(tmp_path / "gatehouse.toml", {}), "https://mcp.example.com")
    [one] = resource
    assert isinstance(one.backend, UrlBackend)
    assert one.backend.send == CallersToken("github")
    for example in blocks(page, "python"):
        compile(example, str(page), "exec")
