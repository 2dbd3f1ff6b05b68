"""Checks 1 to 10: what a client finds before it has anything (RFC 9728, RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

from typing import Any

from tests.actors import http
from tests.blackbox.conftest import PUBLIC
from tests.conftest import House

SERVER = "/.well-known/oauth-authorization-server"
RESOURCE = "/.well-known/oauth-protected-resource"
OPENID = "/.well-known/openid-configuration"
DOCUMENTS = [SERVER, RESOURCE, RESOURCE + "/mcp", OPENID, "/.well-known/jwks.json"]
INSPECTOR = {"Origin": "http://localhost:6274"}


def found(house: House, path: str) -> dict[str, Any]:
    answer = http().get(house.url + path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    document: dict[str, Any] = answer.json()
    assert "null" not in answer.text
    return document


def test_without_a_token_any_post_is_challenged(house: House) -> None:
    """Check 1, RS-2, RS-3, RS-14: RFC 9728 §5.1, RFC 6750 §3.1. A session id is no authentication."""
    sent = {"Content-Type": "application/json", "Mcp-Session-Id": "0123456789abcdef"}
    for body in (b"", b"garbage", b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}', b"[]"):
        answer = http().post(f"{house.url}/mcp", content=body, headers=sent)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/json"), body
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert f'resource_metadata="{house.url}{RESOURCE}/mcp"' in challenge
        assert 'scope="read write"' in challenge
        assert "error=" not in challenge
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_the_resource_names_itself_and_its_server(house: House) -> None:
    """Check 3, RS-1, RS-4, RS-5, RS-15: RFC 9728 §2 and §3.3; no offline_access."""
    document = found(house, RESOURCE + "/mcp")
    assert document["resource"] == f"{house.url}/mcp"
    assert document["authorization_servers"] == [house.url]
    assert document["bearer_methods_supported"] == ["header"]
    assert document["scopes_supported"] == ["read", "write"]


def test_the_server_names_itself_as_it_was_asked_for(house: House, public: House) -> None:
    """Check 5, AS-2, AS-3, AS-5, AS-13: RFC 8414 §2 and §3.3; every endpoint on the issuer's own origin, which is https."""
    for asked, issuer in ((house, house.url), (public, PUBLIC)):
        document = found(asked, SERVER)
        assert document["issuer"] == issuer == found(asked, RESOURCE)["authorization_servers"][0]
        assert document["code_challenge_methods_supported"] == ["S256"]
        assert document["response_types_supported"] == ["code"]
        endpoints = [url for name, url in document.items() if name.endswith(("_endpoint", "_uri"))]
        assert len(endpoints) >= 7
        assert all(url.startswith(f"{issuer}/") for url in endpoints)
    assert "max-age" in http().get(public.url + SERVER).headers["strict-transport-security"]


def test_the_server_says_what_clients_look_for(house: House) -> None:
    """Check 6, AS-6, AS-9, AS-18: CIMD §5, RFC 9207 §3, RFC 7591; `none` is what makes Claude and Codex use their documents."""
    document = found(house, SERVER)
    assert document["client_id_metadata_document_supported"] is True
    assert document["authorization_response_iss_parameter_supported"] is True
    methods = {"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}
    assert methods <= set(document["token_endpoint_auth_methods_supported"])
    assert {"authorization_code", "refresh_token"} <= set(document["grant_types_supported"])
    assert {"read", "write"} <= set(document["scopes_supported"])
    assert "offline_access" not in document["scopes_supported"]
    for name, path in (("registration", "/register"), ("revocation", "/revoke")):
        assert document[f"{name}_endpoint"] == house.url + path
    assert found(house, document["jwks_uri"].removeprefix(house.url))["keys"]


def test_the_openid_document_is_complete(house: House) -> None:
    """Check 7, AS-4: OpenID Connect Discovery §3; half a document would be worse than none."""
    document = found(house, OPENID)
    assert document["issuer"] == house.url
    needed = ["subject_types_supported", "id_token_signing_alg_values_supported", "response_types_supported"]
    needed += ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"]
    assert all(document[name] for name in needed)
    assert document["code_challenge_methods_supported"] == ["S256"]


def test_a_browser_may_read_the_documents(house: House) -> None:
    """Check 9, T-26: the Inspector, with a header that makes the browser ask first."""
    asked = INSPECTOR | {"Access-Control-Request-Method": "GET"}
    asked |= {"Access-Control-Request-Headers": "mcp-protocol-version"}
    for path in DOCUMENTS:
        preflight = http().options(house.url + path, headers=asked)
        assert preflight.is_success, path
        assert preflight.headers["access-control-allow-origin"] in ("*", INSPECTOR["Origin"])
        assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"].lower()
        assert "GET" in preflight.headers["access-control-allow-methods"]
        assert http().get(house.url + path, headers=INSPECTOR).headers["access-control-allow-origin"] == "*"


def test_head_and_unknown_parameters_are_harmless(house: House) -> None:
    """Check 10: RFC 9110 §9.3.2."""
    for path in DOCUMENTS:
        plain, head = http().get(house.url + path), http().head(house.url + path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-length"] == plain.headers["content-length"]
        odd = http().get(house.url + path + "?unknown=1&unknown=2&%ff")
        assert (odd.status_code, odd.content) == (200, plain.content), path
