"""RFC 8707 with several resources: each an audience of its own, in every grant; RFC 9728 for each; tokens open no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from app.protocol.token_types import API_KEY
from tests.actors import OPENED, App, Browser, Device, http, said
from tests.conftest import House, emptied
from tests.holders import Holder

FILE = Path(__file__).parent.parent / "stories" / "gatehouse.toml"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
KINDS = "urn:ietf:params:oauth:token-type:"


@pytest.fixture(scope="module")
def served_many(dsn: str) -> Iterator[House]:
    house = House(dsn, resources_file=FILE).start()
    yield house
    house.stop()


@pytest.fixture
def house(served_many: House) -> Iterator[House]:
    yield emptied(served_many)
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def repos(app: App) -> App:
    app.path = "/repos/mcp"
    return app


def at(house: House, path: str) -> str:
    return f"{house.url}{path}"


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def listing(app: App, token: str) -> int:
    return app.mcp({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, token).status_code


# Metadata and challenges ---------------------------------------------------------------------------------------------


def test_each_resource_describes_itself(house: House) -> None:
    """RFC 9728 §3.1: the path inserted; §2: its own scopes and name."""
    visitor, found = http(), {}
    for path in ("/mcp", "/repos/mcp", "/echo/mcp"):
        document = visitor.get(f"{house.url}/.well-known/oauth-protected-resource{path}").json()
        assert (document["resource"], document["authorization_servers"]) == (at(house, path), [house.url])
        found[path] = (document["resource_name"], document["scopes_supported"])
        for other in ("oauth-authorization-server", "openid-configuration"):
            assert visitor.get(f"{house.url}/.well-known/{other}{path}").json()["issuer"] == house.url
    assert found["/repos/mcp"] == ("Repositories", ["repo:read", "repo:write", "repo:admin"])
    assert found["/mcp"] == ("Notes", ["read", "write"])
    root = visitor.get(f"{house.url}/.well-known/oauth-protected-resource").json()
    assert root["resource"] == at(house, "/mcp")
    assert visitor.get(f"{house.url}/.well-known/oauth-protected-resource/none/mcp").status_code == 404


def test_the_server_names_all_of_them(house: House) -> None:
    """RFC 9728 §4 protected_resources; RFC 8414 §2 scopes_supported; `admin` is still told to nobody."""
    document = http().get(f"{house.url}/.well-known/oauth-authorization-server").json()
    assert document["protected_resources"] == [at(house, path) for path in ("/mcp", "/repos/mcp", "/echo/mcp")]
    assert document["scopes_supported"] == ["read", "write", "api_keys", "repo:read", "repo:write", "repo:admin"]


def test_each_resource_challenges_with_its_own(house: House, repos: App) -> None:
    """RFC 9728 §5.1, MCP "Scope Selection Strategy"; with and without a slash at the end."""
    for path in ("/repos/mcp", "/repos/mcp/"):
        refused = http().post(house.url + path, json={})
        assert refused.status_code == 401
        challenge = refused.headers["www-authenticate"]
        assert f'resource_metadata="{house.url}/.well-known/oauth-protected-resource/repos/mcp"' in challenge
        assert 'scope="repo:read repo:write repo:admin"' in challenge


LOOPBACK = ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"]


@pytest.mark.parametrize("name", LOOPBACK)
@pytest.mark.parametrize("path", ["/mcp", "/repos/mcp"])
def test_on_loopback_a_resource_has_every_name_of_this_computer(house: House, name: str, path: str) -> None:
    """RFC 9728 §3.3: a client goes by none but the address that it was given; the issuer is one and the same."""
    visitor, port = http(), house.url.rsplit(":", 1)[1]
    called = f"http://{name.lower()}:{port}"
    refused = visitor.post(at(house, path), json={}, headers={"Host": f"{name}:{port}"})
    document = f"/.well-known/oauth-protected-resource{path}"
    assert f'resource_metadata="{called}{document}"' in refused.headers["www-authenticate"]
    answer = visitor.get(f"{house.url}{document}", headers={"Host": f"{name}:{port}"}).json()
    assert (answer["resource"], answer["authorization_servers"]) == (f"{called}{path}", [house.url])


@pytest.mark.parametrize("name", LOOPBACK)
def test_on_loopback_every_name_of_this_computer_means_the_same(
    house: House, repos: App, browser: Browser, name: str
) -> None:
    """§2: at /authorize, /par, /token, /device_authorization and in exchanges; `aud` stays the resource's own."""
    port = house.url.rsplit(":", 1)[1]
    there, here = f"http://{name}:{port}/repos/mcp", at(house, "/repos/mcp")
    code = repos.code(browser, resource=there)
    answers = [repos.redeem(code, resource=there)]
    answers.append(repos.refresh(answers[0].json()["refresh_token"], resource=there, scope="repo:read read"))
    answers.append(repos.refresh(answers[1].json()["refresh_token"], resource=f"http://{name}:{port}/"))
    repos.register(grant_types=["authorization_code", EXCHANGE], client_name="Exchanger")
    token = repos.connect(browser, resource=there)["access_token"]
    fields = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": f"{KINDS}access_token"}
    answers.append(repos.token(**fields, resource=there))
    answers.append(repos.token(**fields, audience=there))
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert claims(answer.json()["access_token"])["aud"] == here
    pushed = {"response_type": "code", "redirect_uri": repos.redirect_uri, "code_challenge_method": "S256"}
    pushed |= {"client_id": repos.client_id, "code_challenge": repos.code_challenge, "resource": there}
    assert http().post(f"{house.url}/par", data=pushed).status_code == 201
    assert Device.of(repos, resource=there).device_code
    for elsewhere in (f"http://{name}:1/repos/mcp", f"https://{name}:{port}/repos/mcp", f"http://{name}:{port}/none"):
        assert repos.refresh("x", resource=elsewhere).json()["error"] == "invalid_target", elsewhere


# The ways to a token -------------------------------------------------------------------------------------------------


def test_a_code_is_for_one_resource(house: House, repos: App, browser: Browser) -> None:
    """§2.1, §2.2: what was allowed at /authorize is what the token is for; another one may not be named later."""
    here, there = at(house, "/repos/mcp"), at(house, "/mcp")
    code = repos.code(browser, resource=here)
    refused = repos.redeem(code, resource=there)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    tokens = repos.redeem(code, resource=here).json()
    assert claims(tokens["access_token"])["aud"] == here
    assert tokens["scope"] == "repo:read repo:write repo:admin"
    assert listing(repos, tokens["access_token"]) == 200


def test_a_token_opens_no_other_resource(house: House, repos: App, browser: Browser) -> None:
    """§3, RFC 9068 §4: 401 invalid_token at every other."""
    token = repos.connect(browser, resource=at(house, "/repos/mcp"))["access_token"]
    default = repos.connect(browser)["access_token"]
    for path, refused in (("/mcp", token), ("/echo/mcp", token), ("/repos/mcp", default), ("/echo/mcp", default)):
        repos.path = path
        answer = repos.mcp({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, refused)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token"), path
        assert "another resource" in answer.json()["error_description"]
    repos.path = "/mcp"
    assert listing(repos, default) == 200


def test_without_a_name_it_is_the_default(house: House, repos: App, browser: Browser) -> None:
    """§2; the origin means the default too, and two at once are refused."""
    for named in (None, house.url, at(house, "/mcp/")):
        assert claims(repos.connect(browser, resource=named)["access_token"])["aud"] == at(house, "/mcp")
    both = f"{repos.authorize_url(resource=at(house, '/mcp'))}&resource={at(house, '/repos/mcp')}"
    assert browser.open(both).answer["error"] == "invalid_target"
    assert browser.open(repos.authorize_url(resource=at(house, "/none"))).answer["error"] == "invalid_target"


def test_scopes_are_those_of_the_resource(house: House, repos: App, browser: Browser) -> None:
    """RFC 6749 §3.3: of one resource's words another knows nothing; `repo:write` includes `repo:read`."""
    here = at(house, "/repos/mcp")
    tokens = repos.connect(browser, resource=here, scope="repo:write read api_keys")
    assert tokens["scope"] == "repo:write"
    called = said(repos.call("list_repos", tokens["access_token"]))
    assert called["result"]["structuredContent"]["scopes"] == ["repo:read", "repo:write"]
    assert repos.connect(browser, scope="repo:write write")["scope"] == "write"


def test_a_refresh_token_stays_where_it_is(house: House, repos: App, browser: Browser) -> None:
    """§2.2; and a wrong name does not cost the connection."""
    here = at(house, "/repos/mcp")
    tokens = repos.connect(browser, resource=here, scope="repo:read repo:write")
    refused = repos.refresh(tokens["refresh_token"], resource=at(house, "/mcp"))
    assert refused.json()["error"] == "invalid_target"
    for asked in (None, here, house.url):
        answer = repos.refresh(tokens["refresh_token"], resource=asked, scope="repo:read").json()
        assert claims(answer["access_token"])["aud"] == here
        assert answer["scope"] == "repo:read"
        tokens = answer


@pytest.mark.parametrize(("here", "there"), [("/mcp", "/repos/mcp"), ("/repos/mcp", "/mcp")])
@pytest.mark.parametrize("names", [True, False], ids=["named", "unnamed"])
def test_a_refresh_may_repeat_what_was_asked_for(
    house: House, repos: App, browser: Browser, here: str, there: str, names: bool
) -> None:
    """RFC 6749 §6: clients ask for the scopes of every resource at /authorize, where words of others are dropped, and repeat
    them; also within the grace, and when the client as it was remembered does not hold any more. More than was allowed stays
    refused."""
    mine, foreign = ("read", "repo:admin") if here == "/mcp" else ("repo:read", "write api_keys")
    resource = at(house, here) if names else None
    union = f"{mine} {foreign} offline_access"
    tokens = repos.connect(browser, resource=at(house, here), scope=union)
    assert tokens["scope"] == mine
    first = repos.refresh(tokens["refresh_token"], scope=union, resource=resource)
    assert (first.status_code, first.json().get("scope")) == (200, mine), first.text
    again = repos.refresh(tokens["refresh_token"], scope=union, resource=resource)
    assert (again.status_code, again.json().get("refresh_token")) == (200, first.json()["refresh_token"]), again.text
    house.sql("UPDATE clients SET metadata = metadata")
    assert house.world.clients.get(repos.client_id) is not None
    second = repos.refresh(first.json()["refresh_token"], scope=union, resource=resource)
    assert (second.status_code, second.json().get("scope")) == (200, mine), second.text
    assert claims(second.json()["access_token"])["aud"] == at(house, here)
    wider = "read write" if here == "/mcp" else "repo:read repo:write"
    for token in (second.json()["refresh_token"], first.json()["refresh_token"]):
        refused = repos.refresh(token, scope=f"{wider} {foreign}", resource=resource)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    elsewhere = repos.refresh(second.json()["refresh_token"], scope=union, resource=at(house, there))
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (400, "invalid_target")


def test_the_consent_page_says_where(house: House, repos: App, browser: Browser) -> None:
    """MCP "Consent": the resource's name and address, its scopes in its own words."""
    page = browser.open(repos.authorize_url(resource=at(house, "/repos/mcp"), scope="repo:admin"))
    page = browser.sign_in(page)
    for words in ("Repositories", at(house, "/repos/mcp"), "Delete repositories"):
        assert words in page.text
    assert "Change and delete things" not in page.text
    browser.decide(page)
    page = browser.open(repos.authorize_url(scope="read"))
    assert "/consent" in page.url, "what was allowed at one is not allowed at another"
    assert "Notes" in page.text
    apps = browser.open("/account").text
    assert repos.connect(browser, resource=at(house, "/repos/mcp"), scope="repo:admin")
    apps = browser.open("/account").text
    assert "Repositories" in apps
    assert "Delete repositories" in apps


def test_a_device_is_for_one_resource(house: House, repos: App, browser: Browser) -> None:
    """RFC 8628 with §2."""
    here = at(house, "/repos/mcp")
    device = Device.of(repos, resource=here, scope="repo:write")
    page = device.entered(browser)
    assert "Repositories" in page.text
    assert "Change your repositories" in page.text
    browser.send("/device/decision", decision="allow", csrf=page.field("csrf"), entered=page.field("entered"))
    assert device.poll(resource=at(house, "/mcp")).status_code == 400
    house.turn_clock(seconds=10)
    tokens = device.poll(resource=here).json()
    assert claims(tokens["access_token"])["aud"] == here
    assert listing(repos, tokens["access_token"]) == 200


def test_a_program_asks_for_one_resource(house: House, repos: App) -> None:
    """RFC 6749 §4.4: of its scopes those of the resource, which are named with it; `read` of one is not `read` of another."""
    words = "read repos/repo:write"
    made = house.operator(
        "client", "add", "robot", "--client-credentials", "--user", "ada@example.com", "--scope", words
    )
    client_id, secret = (line.split()[1] for line in made.splitlines()[:2])
    robot = App(house.url, client_id=client_id, client_secret=secret)
    here = robot.token(grant_type="client_credentials", resource=at(house, "/repos/mcp")).json()
    assert (here["scope"], claims(here["access_token"])["aud"]) == ("repo:write", at(house, "/repos/mcp"))
    assert robot.token(grant_type="client_credentials").json()["scope"] == "read"
    nowhere = robot.token(grant_type="client_credentials", resource=at(house, "/echo/mcp"))
    assert nowhere.json()["error"] == "invalid_scope"


def key(house: House, scope: str) -> str:
    return house.operator("api-key", "add", "script", "--user", "ada@example.com", "--scope", scope, "--quiet").strip()


def test_an_api_key_is_for_what_it_names(house: House, repos: App) -> None:
    """As a bearer token, at /auth/token and exchanged (RFC 8693): a key with `read` opens nothing but the default."""
    plain, named = key(house, "read write"), key(house, "repos/repo:read")
    assert listing(repos, plain) == 401
    assert listing(repos, named) == 200
    assert repos.call("create_repo", named, name="x").status_code == 403
    here = at(house, "/repos/mcp")
    assert http().post(f"{house.url}/auth/token", json={"apiKey": plain, "resource": here}).status_code == 401
    assert http().post(f"{house.url}/auth/token", json={"apiKey": named}).status_code == 401
    traded = http().post(f"{house.url}/auth/token", json={"apiKey": named, "resource": here}).json()["token"]
    assert (claims(traded)["aud"], claims(traded)["scope"]) == (here, "repo:read")
    assert listing(repos, traded) == 200
    for wrong in (5, ["x", 5], {"a": 1}, "https://elsewhere.example"):
        answer = http().post(f"{house.url}/auth/token", json={"apiKey": named, "resource": wrong})
        assert answer.status_code == 400, wrong
    fields = {"grant_type": EXCHANGE, "subject_token": named, "subject_token_type": API_KEY}
    exchanged = http().post(f"{house.url}/token", data=fields | {"resource": here}).json()
    assert claims(exchanged["access_token"])["aud"] == here
    assert http().post(f"{house.url}/token", data=fields).json()["error"] == "invalid_target"
    repos.path = "/mcp"
    assert listing(repos, named) == 401
    assert listing(repos, plain) == 200


def test_a_key_page_offers_every_resource(house: House, repos: App, browser: Browser) -> None:
    browser.sign_in()
    page = browser.open("/account/api-keys")
    assert "Repositories: Delete repositories" in page.text
    made = browser.send("/account/api-keys", csrf=page.field("csrf"), name="k", expires="7d", scope="repos/repo:admin")
    assert "repos/repo:admin" in made.text


def test_an_exchanged_token_stays_where_it_is(house: House, repos: App, browser: Browser) -> None:
    """RFC 8693 §2.1: whoever has a token for one resource cannot make it one for another."""
    repos.register(grant_types=["authorization_code", "refresh_token", EXCHANGE])
    here = at(house, "/repos/mcp")
    token = repos.connect(browser, resource=here)["access_token"]
    fields = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": KINDS + "access_token"}
    refused = repos.token(**fields, resource=at(house, "/mcp"))
    assert refused.json()["error"] == "invalid_target"
    for named in (None, here):
        narrowed = repos.token(**fields, resource=named, scope="repo:read").json()
        assert claims(narrowed["access_token"])["aud"] == here


def test_introspection_and_revocation_know_all_of_them(house: House, repos: App, browser: Browser) -> None:
    """RFC 7662 §2.2 `aud`; RFC 7009."""
    made = house.operator("client", "add", "an API", "--introspect")
    client_id, secret = (line.split()[1] for line in made.splitlines()[:2])
    here = at(house, "/repos/mcp")
    token = repos.connect(browser, resource=here)["access_token"]
    answer = http().post(f"{house.url}/introspect", data={"token": token}, auth=(client_id, secret)).json()
    assert (answer["active"], answer["aud"]) == (True, here)
    assert answer["scope"] == "repo:admin repo:read repo:write"
    http().post(f"{house.url}/revoke", data={"token": token, "client_id": repos.client_id})
    house.catch_up()
    assert listing(repos, token) == 401


def test_dpop_is_for_the_address_that_is_called(house: House, repos: App, browser: Browser) -> None:
    """RFC 9449 §4.3 `htu`: a proof made for one resource is none for another."""
    holder, here = Holder(repos, house), "/repos/mcp"
    code = repos.code(browser, resource=at(house, here))
    token = holder.redeem(code, holder.proof("POST", "/token")).json()["access_token"]
    for path, status in ((here, 200), ("/mcp", 401)):
        sent = {"Authorization": f"DPoP {token}", "DPoP": holder.proof("POST", path, token)}
        sent["Accept"] = "application/json, text/event-stream"
        answer = http().post(at(house, here), json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=sent)
        assert answer.status_code == status, answer.text


def test_the_front_page_lists_them(house: House, repos: App) -> None:
    page = http().get(house.url).text
    assert all(words in page for words in ("Repositories", at(house, "/repos/mcp"), "Echo", at(house, "/mcp")))


def test_a_token_for_trying_things_out(house: House, repos: App) -> None:
    """`gatehouse token --resource`: run against the same file."""
    token = house.operator("token", "--resource", at(house, "/repos/mcp"), "--quiet").strip()
    assert listing(repos, token) == 200
    assert "resource must be" in house.operator("token", "--resource", "https://elsewhere.example", code=2)


def test_the_doctor_finds_no_fault_with_any(house: House, repos: App) -> None:
    """From outside, resource by resource; and inside it tells of all of them."""
    for path in ("/mcp", "/repos/mcp", "/echo/mcp"):
        assert "FAIL" not in house.operator("doctor", at(house, path)), path
    assert f"{at(house, '/mcp')} {at(house, '/repos/mcp')}" in house.operator("doctor")
