"""The admin API is what /openapi.json says it is, and hostile input gets a word, never a 500."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.actors import App, http
from tests.admins import AdminBrowser, Api, admin_key
from tests.conftest import House

NASTY = [
    "\0",
    "%00",
    "%ff%fe",
    "x" * 1200,
    "💥",
    "'; DROP TABLE users;--",
    "{{7*7}}",
    "\ud800".encode("utf-8", "surrogatepass"),
]


@pytest.fixture
def api(house: House) -> Api:
    """With something of everything in the house."""
    house.add_user(admin=True)
    house.wait_for(house.world.traces.flush())
    house.sql("TRUNCATE trace_steps")
    app, ada = App(house.url), AdminBrowser(house)
    app.register()
    app.call("whoami", app.connect(ada)["access_token"])
    app.http.post(f"{house.url}/register", json={"redirect_uris": ["http://app.example/cb"]})
    house.operator("project", "add", "Harbour")
    house.operator("budget", "set", str(house.sql("SELECT id FROM connections")[0][0]), "--allowance", "7")
    house.wait_for(house.world.traces.flush())
    return Api(house, admin_key(house))


def document(api: Api) -> dict[str, Any]:
    answer = api.http.get(f"{api.house.url}/openapi.json", headers={"Authorization": f"Bearer {api.key}"})
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/admin"):
                yield method.upper(), path, operation


def names(house: House) -> dict[str, str]:
    """One of each, to stand in the addresses."""
    step = house.sql("SELECT request_id FROM trace_steps ORDER BY id LIMIT 1")[0][0]
    return {
        "{user_id}": str(house.sql("SELECT id FROM users")[0][0]),
        "{path}": str(house.sql("SELECT client_id FROM clients")[0][0]),
        "{connection_id}": str(house.sql("SELECT id FROM connections")[0][0]),
        "{key_id}": str(house.sql("SELECT id FROM api_keys")[0][0]),
        "{identifier}": str(step),
        "{project_id}": str(house.sql("SELECT id FROM agent_projects")[0][0]),
        "{holder_id}": str(house.sql("SELECT id FROM connections")[0][0]),
    }


def strict(schema: Any) -> Any:
    """Nothing may be served that is not described."""
    if isinstance(schema, dict):
        closed = {name: strict(value) for name, value in schema.items()}
        if "properties" in schema and "additionalProperties" not in schema:
            closed["additionalProperties"] = False
        return closed
    return [strict(item) for item in schema] if isinstance(schema, list) else schema


def test_every_answer_is_as_described(api: Api) -> None:
    described = document(api)
    known = names(api.house)
    shapes = strict({"components": described["components"]})
    told = 0
    for method, path, operation in operations(described):
        if method != "GET" or "application/json" not in operation["responses"]["200"].get("content", {}):
            continue
        path = re.sub(r"\{\w+\}", lambda found: known[found[0]], path)
        answer = api("GET", path.removeprefix("/admin/api"))
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator(strict(schema) | shapes).validate(answer)
        assert "null" not in json.dumps(answer), path
        told += 1
    assert told >= 12


def test_refusals_and_what_is_made_are_as_described(api: Api) -> None:
    described = document(api)
    shapes = strict({"components": described["components"]})

    def check(method: str, path: str, status: int, address: str, **options: Any) -> None:
        answer = api(method, address, status, **options)
        schema = described["paths"][f"/admin/api{path}"][method.lower()]["responses"][str(status)]
        Draft202012Validator(strict(schema["content"]["application/json"]["schema"]) | shapes).validate(answer)

    user = names(api.house)["{user_id}"]
    check("POST", "/users", 201, "/users", json={"email": "bob@example.com"})
    check("POST", "/users", 409, "/users", json={"email": "bob@example.com"})
    check("POST", "/users", 400, "/users", json={"email": 7})
    check("GET", "/users/{user_id}", 404, "/users/usr_x")
    check("POST", "/users/{user_id}/password-link", 201, f"/users/{user}/password-link")
    client = {"client_name": "CRM", "redirect_uris": ["https://crm.example/cb"]}
    check("POST", "/clients", 201, "/clients", json=client)
    check("POST", "/clients", 201, "/clients", json=client | {"public": True})
    check("POST", "/signing-keys", 201, "/signing-keys", json={"at_once": True})


def test_every_operation_is_written_about(api: Api) -> None:
    described = document(api)
    assert described["openapi"].startswith("3.1")
    for method, path, operation in operations(described):
        assert operation["description"], (method, path)
        if method in ("POST", "PATCH") and "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert schema["additionalProperties"] is False, path


def test_the_page_that_describes_it_needs_nothing_from_elsewhere(api: Api) -> None:
    page = AdminBrowser(api.house).open("/docs")
    assert page.status == 200
    for method, path, _ in operations(document(api)):
        assert f"<code>{method} {path}</code>" in page.text
    assert "script" not in page.headers["content-security-policy"]
    assert not re.search(r'(src|href)="https?://', page.text)
    assert len(page.text) < 50_000


BODIES: list[Any] = [b"", b"{", b"[]", b"null", b'{"email": "a\\u0000@b"}', b"[" * 5000, b'{"x": 1e999}', b"\xff"]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bad_bodies_are_refused(api: Api, body: bytes) -> None:
    known, headers = names(api.house), {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    for method, path, operation in operations(document(api)):
        if "requestBody" in operation:
            path = re.sub(r"\{\w+\}", lambda found: known[found[0]], path)
            answer = api.http.request(method, api.house.url + path, content=body, headers=headers)
            assert answer.status_code == 400, (method, path, answer.text)
            assert answer.json()["request_id"]


def test_a_body_too_long_is_not_read(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    url = f"{api.house.url}/admin/api/users"
    assert api.http.post(url, content=b"x" * 100_000, headers=headers).status_code == 413
    assert http().post(url, content=b"x" * 100_000, headers=headers | {"Authorization": "Bearer x"}).status_code == 401


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_nasty_words_anywhere(api: Api, nasty: Any) -> None:
    """In every parameter and every name of an address: a list without it, 400 or 404."""
    headers = {"Authorization": f"Bearer {api.key}"}
    encoded = "".join(f"%{byte:02X}" for byte in (nasty.encode() if isinstance(nasty, str) else nasty))
    browser = AdminBrowser(api.house)
    for method, path, operation in operations(document(api)):
        if method == "GET":
            query = "&".join(f"{p['name']}={encoded}" for p in operation.get("parameters", []) if p["in"] == "query")
            address = re.sub(r"\{\w+\}", encoded[:2400], path)
            answer = api.http.get(f"{api.house.url}{address}?{query}", headers=headers)
            assert answer.status_code in (200, 400, 404, 431), (path, answer.status_code, answer.text[:300])
    for page in ("users", "clients", "connections", "api-keys", "attempts", "audit", "audit/file"):
        for name in (
            "q",
            "kind",
            "user",
            "client",
            "event",
            "since",
            "before",
            "after",
            "stale",
            "format",
            "done",
            "by",
        ):
            assert browser.open(f"/admin/{page}?{name}={encoded}").status in (200, 400), (page, name)
            assert browser.open(f"/admin/{page}?{name}=a&{name}=b").status in (200, 400), (page, name)
