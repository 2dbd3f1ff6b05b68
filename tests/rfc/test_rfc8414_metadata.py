"""RFC 8414, RFC 9728, RFC 7517: what clients discover, and that it is true."""

from __future__ import annotations

from typing import Any

import joserfc.jwk
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from app.oauth.grants import GRANTS
from app.protocol import metadata
from tests.actors import App, http
from tests.conftest import House

SERVER = "/.well-known/oauth-authorization-server"
RESOURCE = "/.well-known/oauth-protected-resource"


def document(house: House, path: str) -> dict[str, Any]:
    response = http().get(house.url + path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


def test_the_issuer_is_one_string_everywhere(house: House) -> None:
    """§3.3: byte for byte, without a slash."""
    server, resource = document(house, SERVER), document(house, RESOURCE)
    assert server["issuer"] == house.url == resource["authorization_servers"][0]
    assert resource["resource"] == f"{house.url}/mcp"


def test_every_spelling_of_the_addresses_answers(house: House) -> None:
    """§3.1 path insertion, RFC 9728 §3.1; no HTML, no challenge."""
    assert document(house, SERVER) == document(house, SERVER + "/mcp")
    assert document(house, RESOURCE) == document(house, RESOURCE + "/mcp")
    openid = document(house, "/.well-known/openid-configuration")
    assert openid == document(house, "/.well-known/openid-configuration/mcp")
    assert openid == document(house, "/mcp/.well-known/openid-configuration")
    for path in (SERVER + "/other", "/.well-known/openid-configuration/other"):
        response = http().get(house.url + path)
        assert response.status_code == 404
        assert response.json()["error"] == "not_found"


def test_the_document_says_what_clients_look_for(house: House) -> None:
    found = document(house, SERVER)
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["response_types_supported"] == ["code"]
    assert found["authorization_response_iss_parameter_supported"] is True
    assert found["token_endpoint_auth_methods_supported"] == [
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ]
    assert found["client_id_metadata_document_supported"] is True
    assert found["grant_types_supported"] == list(GRANTS)
    assert None not in found.values()


def test_every_endpoint_named_exists(house: House) -> None:
    for name, url in document(house, SERVER).items():
        if name.endswith(("_endpoint", "_uri")):
            assert url.startswith(house.url)
            assert http().get(url).status_code != 404, name


def test_authlib_finds_nothing_wrong() -> None:
    """Somebody else's reading of §2; it wants https, which a loopback issuer is not."""
    AuthorizationServerMetadata(
        metadata.authorization_server("https://mcp.example", list(GRANTS), documents=True, resources={})
    ).validate()


def test_the_resource_names_minimal_scopes(house: House) -> None:
    """MCP: no offline_access."""
    found = document(house, RESOURCE)
    assert found["scopes_supported"] == ["read", "write"]
    assert found["bearer_methods_supported"] == ["header"]


def test_forged_hosts_change_nothing(house: House) -> None:
    """The issuer comes from the configuration alone."""
    forged = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil",
    }
    for path in (SERVER, RESOURCE):
        assert "evil" not in http().get(house.url + path, headers=forged).text


def test_browsers_and_careful_clients_can_read_it(house: House) -> None:
    headers = {"Origin": "http://localhost:6274", "Access-Control-Request-Headers": "mcp-protocol-version"}
    for path in (SERVER, RESOURCE, "/.well-known/jwks.json"):
        preflight = http().options(house.url + path, headers=headers)
        assert preflight.status_code == 204
        assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"]
        assert http().head(house.url + path + "?unknown=1").status_code == 200
        assert "max-age" in http().get(house.url + path, headers=headers).headers["cache-control"]


def test_the_key_set_holds_public_keys_only(house: House) -> None:
    """RFC 7517 §4, RFC 7638: of access tokens and of id_tokens."""
    keys = document(house, "/.well-known/jwks.json")["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}
    for key in keys:
        assert key["kid"] == joserfc.jwk.import_key(key).thumbprint()
        if key["kty"] == "RSA":
            assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}
            assert (key["use"], key["alg"]) == ("sig", "RS256")
        else:
            assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
            assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")


@pytest.mark.parametrize("resource", ["", "/", "/mcp", "/mcp/"])
def test_equivalent_spellings_of_the_resource_are_one(app: App, resource: str) -> None:
    """RFC 8707 §2, MCP "Canonical Server URI"."""
    from tests.actors import Browser

    host = app.url.replace("http://localhost", "HTTP://LOCALHOST")
    tokens = app.connect(Browser(app.url), resource=host + resource)
    assert app.call("whoami", tokens["access_token"]).status_code == 200


@pytest.mark.parametrize(
    "resource", ["https://other.example/mcp", "/mcp#f", "//x/mcp", "mcp", "/mcp/other", "/mcpx", "ftp://x/"]
)
def test_a_foreign_resource_is_refused(app: App, resource: str) -> None:
    """RFC 8707 §2 invalid_target."""
    from tests.actors import Browser

    full = resource if ":" in resource or not resource.startswith("/mcp") else app.url + resource
    assert Browser(app.url).open(app.authorize_url(resource=full)).answer["error"] == "invalid_target"
