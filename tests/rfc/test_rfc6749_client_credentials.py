"""RFC 6749 §4.4 and MCP's extension for it: a program without a person, in the name of the owner that the operator gave it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.clients.assertion import JWT_BEARER
from tests.actors import App, http
from tests.conftest import House
from tests.signers import Signer, key_set
from tests.websites import Website

GRANT = "client_credentials"


def made(house: House, *options: str) -> App:
    """A client that the operator adds for this grant."""
    printed = house.operator(
        "client", "add", "Nightly", "--client-credentials", "--user", "ada@example.com", "--json", *options
    )
    found = json.loads(printed)
    return App(house.url, client_id=found["client_id"], client_secret=found.get("client_secret"))


@pytest.fixture
def owner(house: House) -> str:
    """The id of the account that the program acts for."""
    return house.add_user()


@pytest.fixture
def machine(house: House, owner: str) -> App:
    return made(house)


def ask(app: App, headers: dict[str, str] | None = None, /, **fields: str | None) -> httpx2.Response:
    return app.token(headers, **{"grant_type": GRANT} | fields)


def given(app: App, **fields: str | None) -> dict[str, Any]:
    response = ask(app, **fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def test_a_program_gets_a_token_in_its_owners_name(house: House, owner: str, machine: App) -> None:
    """§4.4.3: no refresh token, and nothing else that stands for a person's sign-in."""
    response = ask(machine)
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 3600, "read write")
    told = claims(answer["access_token"])
    assert (told["sub"], told["client_id"], told["via"]) == (owner, machine.client_id, GRANT)
    assert told["aud"] == f"{house.url}/mcp"
    assert "connection" not in told
    assert house.sql("SELECT count(*) FROM connections") == [(0,)]
    whoami = machine.call("whoami", answer["access_token"]).json()["result"]["structuredContent"]
    assert (whoami["sub"], whoami["via"]) == (owner, GRANT)
    assert machine.call("add_note", answer["access_token"], None, text="x").status_code == 200


def test_the_secret_may_come_in_the_header(machine: App) -> None:
    """§2.3.1, which the extension names first."""
    basic = base64.b64encode(f"{machine.client_id}:{machine.client_secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    assert ask(machine, headers, client_id=None, client_secret=None).status_code == 200
    assert ask(machine, headers, client_secret=None).status_code == 200, "with the client_id in the body too"


@pytest.mark.parametrize("proof", [{"client_secret": None}, {"client_secret": "gh_cs_wrong"}, {"client_secret": ""}])
def test_a_program_that_does_not_prove_itself_gets_nothing(machine: App, proof: dict[str, str | None]) -> None:
    """§4.4: only confidential clients."""
    response = ask(machine, **proof)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("by_address", [True, False])
def test_a_program_may_sign_instead(
    house: House, owner: str, website: Website, tmp_path: Path, by_address: bool
) -> None:
    """RFC 7523 §2.2: the way that the extension recommends; client_id may be absent, the assertion counts once."""
    signer = Signer()
    file = tmp_path / "jwks.json"
    file.write_bytes(key_set(signer))
    keys = ["--jwks-uri", website.publish("/jwks.json", key_set(signer))] if by_address else ["--jwks", str(file)]
    app = made(house, *keys)
    assert app.client_secret is None
    shown = json.loads(house.operator("client", "show", app.client_id))
    assert shown["token_endpoint_auth_method"] == "private_key_jwt"

    def signed(audience: str) -> httpx2.Response:
        assertion = signer.assertion(app.client_id, audience, house.clock())
        proof = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER}
        first = ask(app, None, client_id=None, **proof)
        again = ask(app, None, client_id=None, **proof)
        assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
        return first

    for audience in (house.url, f"{house.url}/token"):
        assert signed(audience).status_code == 200
    assert signed("https://elsewhere.example").json()["error"] == "invalid_client"
    assert ask(app).json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        (None, "read"),
        ("read", "read"),
        ("read write", "read"),
        ("read offline_access bogus", "read"),
        ("write", None),
        ("api_keys", None),
        ("openid profile", None),
        ("bogus", None),
    ],
)
def test_the_scope_is_the_clients_at_most(house: House, owner: str, asked: str | None, got: str | None) -> None:
    """§3.3 and §5.2. MCP clients ask for what the challenge names, `read write`, whatever they were given: what is beyond
    it is dropped and the answer says so; only when nothing is left is it invalid_scope."""
    app = made(house, "--scope", "read")
    response = ask(app, scope=asked)
    if got is None:
        assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")
        return
    assert response.json()["scope"] == got
    token = response.json()["access_token"]
    assert app.call("whoami", token).status_code == 200
    assert app.call("add_note", token, None, text="x").status_code == 403


def test_a_broader_scope_reaches_what_it_includes(house: House, owner: str) -> None:
    app = made(house, "--scope", "write")
    assert given(app)["scope"] == "write"
    assert given(app, scope="read")["scope"] == "read"


def test_the_resource_is_resolved_as_everywhere(house: House, machine: App) -> None:
    """RFC 8707 §2."""
    for resource in (f"{house.url}/mcp", house.url, f"{house.url.upper()}/mcp/"):
        assert given(machine, resource=resource)["access_token"]
    response = ask(machine, resource="https://other.example/mcp")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_target")


def test_nobody_else_may_use_the_grant(house: House, machine: App, website: Website) -> None:
    """MCP check 57: not whoever registered, not whoever publishes a document, not an app of the operator's for people."""
    public, confidential = App(house.url), App(house.url)
    for app, method in ((public, "none"), (confidential, "client_secret_post")):
        answer = app.register(token_endpoint_auth_method=method, grant_types=["authorization_code", GRANT])
        assert GRANT not in answer["grant_types"]
    document = {
        "client_id": website.url + "/client.json",
        "client_name": "Quill",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", GRANT],
    }
    by_document = App(house.url, client_id=website.publish("/client.json", document))
    by_hand = json.loads(house.operator("client", "add", "Chat", "--redirect-uri", "http://127.0.0.1/cb", "--json"))
    chat = App(house.url, client_id=by_hand["client_id"], client_secret=by_hand["client_secret"])
    for app in (public, confidential, by_document, chat):
        response = ask(app)
        assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")
    alone = {"grant_types": [GRANT], "redirect_uris": []}
    assert http().post(f"{house.url}/register", json=alone).json()["error"] == "invalid_client_metadata"


def test_a_row_without_a_secret_opens_nothing(house: House, machine: App) -> None:
    """§4.4: were a client made public by mistake, this grant would still not be for it."""
    house.sql("UPDATE clients SET token_endpoint_auth_method = 'none', secret_fingerprint = NULL")
    response = ask(machine, client_secret=None)
    assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")


def test_a_program_has_no_other_grant(machine: App) -> None:
    for grant in ("authorization_code", "refresh_token"):
        assert machine.token(grant_type=grant, code="x", refresh_token="x").json()["error"] == "unauthorized_client"
    authorize = machine.http.get(machine.authorize_url())
    assert authorize.status_code == 400


def test_a_disabled_owner_ends_it_at_once(house: House, machine: App) -> None:
    """The tokens within a second, the grant in the very next request; the secret stays good for when the owner is back."""
    token = given(machine)["access_token"]
    house.operator("user", "disable", "ada@example.com")
    house.catch_up()
    assert machine.call("whoami", token).status_code == 401
    response = ask(machine)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    house.operator("user", "enable", "ada@example.com")
    house.turn_clock(seconds=3)
    assert machine.call("whoami", given(machine)["access_token"]).status_code == 200


def test_a_removed_client_ends_at_once(house: House, machine: App) -> None:
    token = given(machine)["access_token"]
    house.operator("client", "revoke", machine.client_id)
    house.catch_up()
    assert machine.call("whoami", token).status_code == 401
    response = ask(machine)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_a_program_gives_its_token_back(house: House, machine: App) -> None:
    """RFC 7009 §2.1, and only that one."""
    token, other = given(machine)["access_token"], given(machine)["access_token"]
    fields = {"token": token, "client_id": machine.client_id, "client_secret": machine.client_secret}
    assert machine.http.post(f"{house.url}/revoke", data=fields).status_code == 200
    house.catch_up()
    assert machine.call("whoami", token).status_code == 401
    assert machine.call("whoami", other).status_code == 200


def test_the_operator_is_told_for_whom_it_acts(house: House, machine: App) -> None:
    assert json.loads(house.operator("client", "show", machine.client_id))["acts_for"] == "ada@example.com"
    listed = {row["client_id"]: row for row in json.loads(house.operator("client", "list", "--json"))}
    assert listed[machine.client_id]["acts_for"] == "ada@example.com"
    events = house.sql("SELECT event, client_id, user_id IS NOT NULL FROM audit_events WHERE event LIKE 'client.%'")
    assert events == [("client.registered", machine.client_id, True)]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--client-credentials"], "needs --user"),
        (["--user", "ada@example.com"], "needs --user"),
        (["--client-credentials", "--user", "ada@example.com", "--public"], "nobody signs in"),
        (["--client-credentials", "--user", "ada@example.com", "--redirect-uri", "http://127.0.0.1/"], "nobody signs"),
        (["--client-credentials", "--user", "ada@example.com", "--scope", "all"], "no scope all"),
        (["--client-credentials", "--user", "ada@example.com", "--jwks-uri", "http://a.example/"], "https"),
        (["--client-credentials", "--user", "ada@example.com", "--jwks", "README.md"], "cannot be read"),
        (["--client-credentials", "--user", "ada@example.com", "--jwks-uri", "https://a/", "--jwks", "x"], "not both"),
        (["--introspect", "--scope", "read"], "needs --redirect-uri"),
    ],
)
def test_what_does_not_go_together_is_refused(house: House, owner: str, options: list[str], why: str) -> None:
    assert why in " ".join(house.operator("client", "add", "Nightly", *options, code=2).split())


def test_an_owner_must_be_there(house: House, owner: str) -> None:
    options = ["client", "add", "Nightly", "--client-credentials", "--user"]
    assert "no enabled account" in house.operator(*options, "bob@example.com", code=1)
    house.operator("user", "disable", "ada@example.com")
    assert "no enabled account" in house.operator(*options, "ada@example.com", code=1)


def test_private_keys_are_not_for_us(house: House, owner: str, tmp_path: Path) -> None:
    """RFC 7517 §9.3: whoever hands us a private key has handed it to the wrong one."""
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "c"}))
    options = ["client", "add", "N", "--client-credentials", "--user", "ada@example.com", "--jwks", str(file)]
    assert "public keys only" in house.operator(*options, code=2)


def test_it_is_advertised(house: House) -> None:
    """RFC 8414 §2, and what the extension wants beside it."""
    document = http().get(f"{house.url}/.well-known/oauth-authorization-server").json()
    assert GRANT in document["grant_types_supported"]
    assert {"private_key_jwt", "client_secret_basic"} <= set(document["token_endpoint_auth_methods_supported"])
    assert "ES256" in document["token_endpoint_auth_signing_alg_values_supported"]
