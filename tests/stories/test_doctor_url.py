"""`gatehouse doctor URL`: nothing to complain of at our own door, and the right complaint at each broken one."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.checkup import ask, report
from app.checkup.examine import NOT_UNDERSTOOD, examine
from app.checkup.findings import Finding, Verdict
from app.checkup.snippets import PROXIES, SNIPPETS, TITLES, snippet
from app.checkup.target import BadAddress, target
from tests import commands
from tests.conftest import ROOT, House
from tests.doors import NOWHERE, PAGE, RESOURCE, SERVER, FrontDoor, Socket, as_json, certificate

BROWSER = "http://localhost:6274"


def now() -> datetime:
    return datetime.now(UTC)


def looked_at(url: str, *, register: bool = False, proxy: str = "") -> tuple[dict[str, Finding], str]:
    """Every finding by the name of its check, and the report."""
    visit, found = asyncio.run(examine(target(url), now, browser=BROWSER, register=register))
    assert len({finding.check for finding in found}) == len(found), "every check has a name of its own"
    assert not [finding.said for finding in found if NOT_UNDERSTOOD in finding.said]
    assert all(finding.cure for finding in found if finding.verdict in (Verdict.FAILED, Verdict.WARNED))
    return {finding.check: finding for finding in found}, "\n".join(report.lines(visit, found, proxy))


def names(found: dict[str, Finding], verdict: Verdict) -> set[str]:
    return {name for name, finding in found.items() if finding.verdict is verdict}


def failures(found: dict[str, Finding]) -> set[str]:
    return names(found, Verdict.FAILED)


def stranger(folder: Path, *arguments: str, code: int, **environment: str) -> str:
    """Runs the command as somebody who has installed it and configured nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    given = kept | {"HOME": str(folder), "PYTHONPATH": str(ROOT), **environment}
    ran = commands.run(("doctor", *arguments), given, cwd=folder)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(folder.iterdir()) == [], "nothing is written"
    return ran.stdout + ran.stderr


@pytest.fixture
def door() -> Iterator[FrontDoor]:
    door = FrontDoor()
    yield door
    door.close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_our_own_door_has_no_fault(house: House, name: str) -> None:
    found, said = looked_at(f"{house.url}/mcp".replace("localhost", name))
    assert not failures(found), said
    # It is on loopback; until Client ID Metadata Documents are there, that is a hint too.
    assert names(found, Verdict.WARNED) <= {"dns", "client documents"}, said
    assert found["register"].verdict is Verdict.SKIPPED
    assert house.sql("SELECT count(*) FROM clients") == [(0,)]


def test_registering_is_asked_for_and_proves_iss(house: House) -> None:
    found, said = looked_at(f"{house.url}/mcp", register=True)
    assert not failures(found), said
    assert found["register"].verdict is found["iss is sent"].verdict is Verdict.PASSED
    assert "yours to delete" in said or house.sql("SELECT count(*) FROM clients") == [(0,)]


def test_a_stranger_needs_no_configuration(house: House, tmp_path: Path) -> None:
    said = stranger(tmp_path, house.url, code=0)
    assert f"{house.url}/mcp" in said
    assert "FAIL" not in said
    read = json.loads(stranger(tmp_path, house.url, "--json", code=0))
    assert read["well"] is True
    assert read["failed"] == 0 < read["passed"]
    assert {"group", "check", "verdict", "said"} <= set(read["checks"][0])


def test_without_a_url_it_looks_at_this_installation(house: House) -> None:
    assert "answers with the right issuer" in house.operator("doctor")
    assert json.loads(house.operator("doctor", "--json"))["well"] is True


def test_a_right_door_of_somebody_else_passes(door: FrontDoor) -> None:
    found, said = looked_at(door.url)
    assert not failures(found), said
    assert names(found, Verdict.WARNED) == {"dns"}, said


def with_header(header: str) -> Callable[[FrontDoor], None]:
    def breaking(door: FrontDoor) -> None:
        door.challenge = header.replace("URL", f"{door.origin}{RESOURCE}/mcp")

    return breaking


def reply(method: str, path: str, answer: object) -> Callable[[FrontDoor], None]:
    def breaking(door: FrontDoor) -> None:
        door.replies[method, path] = answer  # type: ignore[assignment]

    return breaking


def server(**members: object) -> Callable[[FrontDoor], None]:
    def breaking(door: FrontDoor) -> None:
        for name, value in members.items():
            door.server[name] = value.replace("ORIGIN", door.origin) if isinstance(value, str) else value

    return breaking


def resource(**members: object) -> Callable[[FrontDoor], None]:
    def breaking(door: FrontDoor) -> None:
        for name, value in members.items():
            door.resource[name] = value.replace("ORIGIN", door.origin) if isinstance(value, str) else value

    return breaking


def no_resource_metadata(door: FrontDoor) -> None:
    door.replies |= {("GET", RESOURCE): NOWHERE, ("GET", f"{RESOURCE}/mcp"): NOWHERE}


def always_redirects(door: FrontDoor) -> None:
    moved = (308, {"Location": f"{door.origin}/mcp/"}, b"")
    door.replies |= {("POST", "/mcp"): moved, ("GET", "/mcp"): moved}


OPEN = as_json({"jsonrpc": "2.0", "id": 1, "result": {}})
REFUSED = as_json({"error": "invalid_token"}, 401)
ERROR_PAGE = (401, {"Content-Type": "text/html", "WWW-Authenticate": 'Bearer resource_metadata="/x"'}, b"<html>401")
SAME = as_json({"error": "invalid_token"}, 401, WWW_Authenticate='Bearer resource_metadata="https://x/y", scope="read"')

BROKEN = [
    ("a slash that redirects", reply("POST", "/mcp/", (307, {"Location": "/mcp"}, b"")), {"slash"}, "without a redirect"),
    ("every address redirects", always_redirects, {"redirects"}, "Answer at this address itself"),
    ("an open server", reply("POST", "/mcp", OPEN), {"post without token"}, "Put the guard in front"),
    ("GET not guarded", reply("GET", "/mcp", (405, {}, b"")), {"get without token"}, "Judge the token before method"),
    ("401 without header", with_header(""), {"www authenticate"}, "Send WWW-Authenticate: Bearer resource_metadata="),
    ("header without quotes", with_header('Bearer resource_metadata=URL, scope="read"'), {"resource metadata"}, "quotes"),
    ("header without address", with_header('Bearer scope="read"'), {"resource metadata"}, "Add resource_metadata"),
    ("relative address", with_header('Bearer resource_metadata="/x", scope="a"'), {"resource metadata"}, "whole address"),
    ("address of nothing", with_header('Bearer resource_metadata="URL/x", scope="a"'), {"document of header"}, "where the"),
    ("any token served", None, {"authorization arrives"}, "Verify signature, issuer, audience"),
    ("Authorization lost", None, {"authorization arrives"}, "Let the proxy pass Authorization on"),
    ("no AI bots", None, {"programs get in"}, "Switch the filter against AI bots off"),
    ("401 as a page", None, {"refusal is json"}, "Answer as JSON"),
    ("no resource metadata", no_resource_metadata, {"document at path", "document of header"}, "forward /.well-known/"),
    ("only at the root", reply("GET", f"{RESOURCE}/mcp", NOWHERE), {"document at path", "document of header"}, "with the path"),
    ("another resource", resource(resource="ORIGIN/other"), {"resource"}, "character by character"),
    ("resource with slash", resource(resource="ORIGIN/mcp/"), {"resource"}, "no slash at its end"),
    ("nobody to go to", resource(authorization_servers=[]), {"authorization servers"}, "List the issuer"),
    ("issuer with slash", server(issuer="ORIGIN/"), {"issuer"}, "The slash at the end is the difference"),
    ("no server metadata", reply("GET", SERVER, NOWHERE), {"metadata"}, "Serve the RFC 8414 document"),
    ("no response types", server(response_types_supported=None), {"members", "no null"}, "RFC 8414 requires them"),
    ("null", server(service_documentation=None), {"no null"}, "Leave the member out"),
    ("no PKCE", server(code_challenge_methods_supported=["plain"]), {"pkce"}, "Support PKCE"),
    ("no iss", server(authorization_response_iss_parameter_supported=False), {"iss"}, "Send iss with every"),
    ("secrets only", server(token_endpoint_auth_methods_supported=["client_secret_basic"]), {"public clients"}, '"none"'),
    (
        "no way to register",
        server(registration_endpoint="", client_id_metadata_document_supported=False),
        {"registration"},
        "entered by hand",
    ),
    ("a page for openid", reply("GET", "/.well-known/openid-configuration", PAGE), {"openid"}, "never a page"),
    (
        "openid not complete",
        reply("GET", "/.well-known/openid-configuration", as_json({"issuer": "https://elsewhere.example"})),
        {"openid"},
        "as everywhere",
    ),
    ("a page for a spelling", reply("GET", f"{SERVER}/mcp", PAGE), {"other spellings"}, "never a page"),
    ("a guarded spelling", reply("GET", "/mcp/.well-known/openid-configuration", REFUSED), {"other spellings"}, "guard"),
    ("documents as text", None, {"content types"}, "Serve it as application/json"),
    ("unknown client is 400", reply("POST", "/token", as_json({"error": "invalid_grant"}, 400)), {"token"}, "invalid_client"),
    ("a page at token", reply("POST", "/token", (403, PAGE[1], PAGE[2])), {"token"}, "Answer as JSON"),
    (
        "an open redirector",
        reply("GET", "/authorize", (302, {"Location": "http://127.0.0.1:3030/callback?error=x"}, b"")),
        {"authorize"},
        "open redirector",
    ),
    ("private keys", reply("GET", "/keys", as_json({"keys": [{"kty": "EC", "d": "x"}]})), {"keys"}, "rotate the keys now"),
    ("no keys", reply("GET", "/keys", NOWHERE), {"keys"}, "Serve the public keys"),
    ("no CORS", reply("OPTIONS", "/token", (405, {}, b"")), {"cors of token"}, "Answer preflights"),
    ("a preflight of elsewhere", reply("OPTIONS", "/register", (204, {"Access-Control-Allow-Origin": "https://x"}, b"")),
        {"cors of register"}, "Allow any origin"),
    ("too many requests", reply("POST", "/mcp", as_json({}, 429)), {"post without token"}, "Wait, and ask again"),
    ("a guarded preflight", reply("OPTIONS", "/mcp", REFUSED), {"cors of mcp"}, "a preflight never carries one"),
]  # fmt: skip


def odd_ones(name: str, door: FrontDoor) -> None:
    """What depends on what the request brings along."""
    usual = door.reply

    def answered(method: str, path: str, headers: dict[str, str]) -> object:
        is_door = (method, path) == ("POST", "/mcp")
        if is_door and name == "any token served" and "authorization" in headers:
            return OPEN
        if is_door and name == "Authorization lost":
            headers.pop("authorization", None)
        if is_door and name == "no AI bots" and "Claude" in headers["user-agent"]:
            return 403, PAGE[1], PAGE[2]
        status, given, body = usual(method, path, headers)
        if is_door and name == "401 as a page":
            return status, given | {"Content-Type": "text/html"}, b"<html>Unauthorized"
        if path == SERVER and name == "documents as text":
            return status, given | {"Content-Type": "text/plain"}, body
        return status, given, body

    door.reply = answered  # type: ignore[assignment,method-assign]


@pytest.mark.parametrize(("name", "breaking", "checks", "cure"), BROKEN, ids=[row[0] for row in BROKEN])
def test_the_check_that_fails_is_the_right_one(
    door: FrontDoor, name: str, breaking: Callable[[FrontDoor], None] | None, checks: set[str], cure: str
) -> None:
    odd_ones(name, door) if breaking is None else breaking(door)
    found, said = looked_at(door.url)
    assert failures(found) == checks, said
    assert cure in " ".join(found[check].cure for check in checks)
    assert f"cure: {found[next(iter(checks))].cure}" in said


def test_an_issuer_with_a_slash_everywhere_is_only_a_hint(door: FrontDoor) -> None:
    """Some identity providers have one, consistently, and clients live with it."""
    door.server["issuer"] = f"{door.origin}/"
    door.resource["authorization_servers"] = [f"{door.origin}/"]
    found, said = looked_at(door.url)
    assert not failures(found), said
    assert found["issuer"].verdict is Verdict.WARNED


def test_small_things_are_hints(door: FrontDoor) -> None:
    door.challenge = f'Bearer error="invalid_token", resource_metadata="{door.origin}{RESOURCE}/mcp"'
    door.resource["scopes_supported"] = ["read", "offline_access"]
    door.server["grant_types_supported"] = ["authorization_code"]
    door.replies["OPTIONS", "/mcp"] = as_json({"error": "forbidden"}, 403)
    door.replies["GET", RESOURCE] = NOWHERE
    found, said = looked_at(door.url)
    assert not failures(found), said
    hints = {"scope", "no error", "scopes", "refresh", "cors of mcp", "document at root", "dns"}
    assert names(found, Verdict.WARNED) == hints
    assert said.count("hint: ") == len(hints)


def test_a_wrong_clock_is_seen(door: FrontDoor) -> None:
    late = [(3, Verdict.PASSED), (30, Verdict.WARNED), (300, Verdict.FAILED)]
    for seconds, verdict in late:
        ahead = timedelta(seconds=seconds)
        _, found = asyncio.run(examine(target(door.url), lambda a=ahead: now() + a, browser=BROWSER, register=False))  # type: ignore[misc]
        assert {finding.check: finding.verdict for finding in found}["clock"] is verdict


def test_registration_is_read_as_typed_clients_read_it(door: FrontDoor) -> None:
    asked = {"redirect_uris": ["http://127.0.0.1:3030/callback"], "client_id": "c"}
    back = f"http://127.0.0.1:3030/callback?error=invalid_request&iss={door.origin}"
    door.replies["GET", "/authorize"] = (400, {}, b"")
    for answer, words in [
        (asked | {"client_uri": None}, "null at client_uri"),
        ({"client_id": "c"}, "does not echo redirect_uris"),
        (asked | {"grant_types": ["authorization_code"]}, "refresh_token"),
        (asked | {"token_endpoint_auth_method": "none", "client_secret": "s"}, "secret"),
        ({}, "no client_id"),
    ]:
        door.replies["POST", "/register"] = as_json(answer, 201)
        found, said = looked_at(door.url, register=True)
        assert failures(found) == {"register"}, said
        assert words in found["register"].said
    manage = {"registration_client_uri": f"{door.origin}/register/c", "registration_access_token": "t"}
    door.replies |= {("POST", "/register"): as_json(asked | manage, 201), ("DELETE", "/register/c"): (204, {}, b"")}
    usual = door.reply
    door.reply = lambda method, path, headers: (  # type: ignore[method-assign]
        (302, {"Location": back}, b"") if "client_id=c&" in path else usual(method, path, headers)
    )
    found, said = looked_at(door.url, register=True)
    assert not failures(found), said
    assert found["register"].said == "registered a client, and deleted it again"
    assert found["iss is sent"].verdict is Verdict.PASSED
    back = back.split("&iss")[0]
    assert failures(looked_at(door.url, register=True)[0]) == {"iss is sent"}


# Connections that go wrong before HTTP.


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    said = stranger(tmp_path, "https://nobody.invalid/mcp", code=1)
    assert re.search(r"FAIL  dns .*nobody\.invalid: DNS knows no address", said)
    assert "cure: Add an A record" in said
    assert "skip  all 11 checks" in said


def test_a_dead_port() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        found, said = looked_at(f"http://127.0.0.1:{reserved.getsockname()[1]}/mcp")
    assert failures(found) == {"connection"}, said
    assert "refuses connections" in said


def test_plain_http_where_https_was_said(door: FrontDoor) -> None:
    found, said = looked_at(door.url.replace("http:", "https:"))
    assert failures(found) == {"tls"}, said
    assert "speaks plain http" in found["tls"].cure


@pytest.mark.parametrize(
    ("name", "days", "trusted", "failing", "words"),
    [
        ("localhost", 90, True, set(), "certificate valid for localhost"),
        ("localhost", 5, True, set(), "Renew it now"),
        ("localhost", -5, True, {"tls"}, "Renew the certificate"),
        ("other.example", 90, True, {"tls"}, "names this host"),
        ("localhost", 90, False, {"tls"}, "certificate of a public authority|whole chain"),
    ],
)
def test_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, days: int, trusted: bool, failing: set[str], words: str
) -> None:
    context, authority = certificate(tmp_path, name, days)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    door = FrontDoor(context)
    found, said = looked_at(door.url)
    door.close()
    assert failures(found) == failing, said
    assert re.search(words, said)
    assert bool(door.asked) is not bool(failing), "nobody goes on without valid TLS"
    if not failing:
        assert found["hsts"].verdict is Verdict.WARNED


def test_http_addresses_behind_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not know that TLS ends before it."""
    context, authority = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    door = FrontDoor(context)
    plain = door.origin.replace("https:", "http:")
    door.challenge = door.challenge.replace("https:", "http:")
    door.server |= {"token_endpoint": f"{plain}/token"}
    found, said = looked_at(door.url, proxy="nginx")
    door.close()
    assert {"https", "resource metadata"} <= failures(found), said
    assert "X-Forwarded-Proto $scheme" in said
    assert said.count("X-Forwarded-Proto $scheme") == 1, "once is enough"


# Servers that mean harm.


def says(
    head: bytes, then: Callable[[socket.socket], None] = lambda connection: None
) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        then(connection)

    return talk


def endlessly(part: bytes) -> Callable[[socket.socket], None]:
    def pour(connection: socket.socket) -> None:
        while True:
            connection.sendall(part)

    return pour


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(b'{"a":"' + b"0" * 100_000_000 + b'"}', 9)
HARM = {
    "an endless body": says(OK + b"\r\n", endlessly(b" " * 65536)),
    "an endless head": says(b"HTTP/1.1 200 OK\r\n", endlessly(b"X-A: " + b"a" * 5000 + b"\r\n")),
    "endless informational answers": says(b"", endlessly(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)),
    "one endless line": says(b"", endlessly(b"a" * 65536)),
    "a deep document": says(OK + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000),
    "a huge number": says(OK + b"Content-Length: 100000\r\n\r\n" + b"9" * 100_000),
    "a gzip bomb": says(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
    "a lie about its length": says(OK + b"Content-Length: 50\r\n\r\n{}"),
    "no HTTP at all": says(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "nothing": says(b""),
    "a challenge to choke on": says(
        b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer " + b"a" * 60_000 + b"\r\n\r\n"
    ),
    "quotes to choke on": says(
        b'HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer a="' + b'\\"' * 20_000 + b"\r\n\r\n"
    ),
    "a place that is none": says(b"HTTP/1.1 301 No\r\nContent-Length: 0\r\nLocation: http://[/\x80\r\n\r\n"),
}


@pytest.mark.parametrize("harm", HARM)
def test_harm_is_bounded_and_reported(harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(ask, "WHOLE_SECONDS", 5.0)
    hostile = Socket(HARM[harm])
    started = time.monotonic()
    found, said = looked_at(f"http://127.0.0.1:{hostile.port}/mcp", register=True)
    hostile.close()
    assert failures(found), said
    assert time.monotonic() - started < 10
    assert len(said) < 20_000


def test_a_server_that_only_listens_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "ANSWER_SECONDS", 0.2)
    silent = Socket(lambda connection: (connection.recv(1), None)[1])
    found, said = looked_at(f"http://127.0.0.1:{silent.port}/mcp")
    silent.close()
    assert "post without token" in failures(found), said
    assert "did not answer within" in said


def test_nothing_that_a_server_says_reaches_the_terminal(door: FrontDoor, tmp_path: Path) -> None:
    """Escape codes could write over the report or type commands."""
    evil = "\x1b]0;owned\x07\x1b[2J\u202e\u009b31m\n\rok    tls"
    door.server |= {"issuer": evil, "authorization_endpoint": evil, "x": {evil: None}}
    door.resource |= {"resource": evil, "scopes_supported": [evil]}
    door.replies["POST", "/token"] = as_json({"error": evil}, 400)
    for options in ((), ("--json",)):
        said = stranger(tmp_path, door.url, *options, code=1)
        assert "owned" in said
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)
        assert "\nok    tls" not in said


def test_a_server_elsewhere_cannot_send_us_behind_our_firewall(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public server names our loopback as its token endpoint; nobody is asked there."""
    inside = FrontDoor(host="127.0.0.1")
    door.server["token_endpoint"] = f"{inside.origin}/token"
    door.server["jwks_uri"] = f"{inside.origin}/keys"
    door.challenge = f'Bearer resource_metadata="{inside.origin}{RESOURCE}/mcp", scope="read"'
    monkeypatch.setattr("app.checkup.pay_a_visit.is_public", lambda address: True)  # of the door that was typed
    found, said = looked_at(door.url)
    inside.close()
    assert inside.asked == []
    assert {"token", "keys", "document of header"} <= failures(found), said
    assert "leads to a private address" in found["token"].said


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["http://x", "https://[", "#", "@"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = [
    "issuer",
    "token_endpoint",
    "jwks_uri",
    "authorization_servers",
    "resource",
    "scopes_supported",
    "keys",
    "error",
]


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*MEMBERS, "response_types_supported", "client_id"]), JSON), st.text(max_size=60)
)
def test_no_document_and_no_header_confuses_a_check(document: dict[str, object], header: str) -> None:
    door = FrontDoor()
    door.server |= document
    door.resource |= document
    door.challenge = f"Bearer {header.encode('ascii', 'ignore').decode()}".replace("\r", "").replace("\n", "")
    for path in ("/token", "/register"):
        door.replies["POST", path] = as_json(document)
    door.replies["GET", "/keys"] = as_json(document)
    try:
        looked_at(door.url, register=True)
    finally:
        door.close()


# What is typed, and what is printed.


@pytest.mark.parametrize(
    ("typed", "url", "path"),
    [
        ("mcp.example.com", "https://mcp.example.com/mcp", "/mcp"),
        ("localhost:8000", "http://localhost:8000/mcp", "/mcp"),
        ("HTTPS://MCP.example.com:443/mcp/", "https://mcp.example.com/mcp", "/mcp"),
        ("https://mcp.example.com/", "https://mcp.example.com/", "/"),
        ("https://mcp.example.com/a/b?c=d", "https://mcp.example.com/a/b?c=d", "/a/b"),
        ("https://bücher.example/mcp", "https://xn--bcher-kva.example/mcp", "/mcp"),
        ("http://[::1]:8000/mcp", "http://[::1]:8000/mcp", "/mcp"),
    ],
)
def test_what_is_typed_becomes_an_address(typed: str, url: str, path: str) -> None:
    assert (target(typed).url, target(typed).path) == (url, path)


@pytest.mark.parametrize(
    "typed",
    ["", "https://", "ftp://x/mcp", "https://u:p@x/", "https://x/#f", "https://x:99999/", "https://[x/", "a b\x1b"],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(BadAddress):
        target(typed)


def test_a_wrong_use_is_one_sentence(tmp_path: Path) -> None:
    assert "the address must be a http or https URL" in stranger(tmp_path, "ftp://x/mcp", code=2)
    assert "cloudflare" in stranger(tmp_path, "localhost", "--proxy", "apache", code=2)


def test_the_snippet_fits_the_proxy(door: FrontDoor, tmp_path: Path) -> None:
    door.replies["POST", "/mcp/"] = (307, {"Location": "/mcp"}, b"")
    chosen = stranger(tmp_path, door.url, "--proxy", "traefik", code=1)
    assert "replacePathRegex" in chosen
    assert "nginx" not in chosen
    every = looked_at(door.url)[1]
    assert "rewrite /mcp/ /mcp" in every
    assert "replacePathRegex" not in every
    assert "--proxy traefik prints it, or see docs/reverse-proxies.md" in every
    read = json.loads(stranger(tmp_path, door.url, "--json", code=1))
    failed = next(check for check in read["checks"] if check["verdict"] == "failed")
    assert set(failed["snippets"]) == set(PROXIES)
    door.replies["POST", "/mcp"] = as_json({}, 401, WWW_Authenticate=door.challenge, Server="nginx/1.28")
    named = looked_at(door.url)[1]
    assert "location = /mcp/" in named
    assert "rewrite /mcp/ /mcp" not in named


def test_every_topic_has_a_snippet_and_the_documentation_has_them_all() -> None:
    written = (ROOT / "docs" / "reverse-proxies.md").read_text()
    for proxy in PROXIES:
        assert set(SNIPPETS[proxy]) == set(TITLES)
        for topic in TITLES:
            assert f"\n{snippet(proxy, topic)}\n```" in written, f"{proxy}, {topic}"
    assert all(f"## {title}\n" in written for title in TITLES.values())
    assert snippet("nginx", "slash", "x.example", "/api") == snippet("nginx", "slash").replace("/mcp", "/api")


def test_every_check_is_in_the_documentation(door: FrontDoor) -> None:
    written = (ROOT / "docs" / "doctor.md").read_text()
    missing = [check for check in looked_at(door.url)[0] if f"| {check} |" not in written]
    assert not missing
