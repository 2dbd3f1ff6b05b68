"""What `gatehouse connect` does not believe, and does not send its credentials to: one sentence each, nothing secret in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.actors import http
from tests.bridges import Bridge, ran
from tests.doors import SERVER, FrontDoor, Reply, as_json, certificate

Start = Callable[..., Bridge]
REGISTERED = as_json({"client_id": "one", "token_endpoint_auth_method": "none"}, 201)
TOKEN: dict[str, Any] = {
    "access_token": "a-secret-that-no-log-may-ever-hold",
    "token_type": "Bearer",
    "expires_in": 3600,
}
PAGE = (200, {"Content-Type": "text/html"}, b"<!doctype html>sign in")


@pytest.fixture
def door() -> Iterator[FrontDoor]:
    made = FrontDoor()
    made.replies["POST", "/register"] = REGISTERED
    made.replies["GET", "/authorize"] = PAGE
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Bridge] = []

    def begin(url: str, *more: str, **variables: str) -> Bridge:
        started.append(Bridge(url, tmp_path, "--timeout", "5", *more, **variables))
        return started[-1]

    yield begin
    for bridge in started:
        assert bridge.end() == 0


def refusal(bridge: Bridge) -> str:
    """The one sentence, which stands in the answer and on standard error."""
    answer = bridge.answer(bridge.begin())
    sentence: str = answer["error"]["message"]
    assert bridge.hears("gatehouse: ") == f"gatehouse: {sentence}\n"
    return sentence


def answered(bridge: Bridge, **changed: str | None) -> tuple[int, str]:
    """What the browser brings back from the page that the person was sent to."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(bridge.address()).query).items()}
    given = {"code": "good", "state": asked["state"]} | changed
    query = urlencode({name: value for name, value in given.items() if value is not None})
    page = http().get(f"{asked['redirect_uri']}?{query}")
    return page.status_code, asked["state"]


def test_metadata_of_another_resource(door: FrontDoor, start: Start) -> None:
    """RFC 9728 §3.3."""
    for other in ("https://other.example/mcp", f"{door.origin}/other", f"{door.url}/more", None, 7):
        door.resource["resource"] = other
        assert "about another resource" in refusal(start(door.url))
    assert not [path for _, path in door.asked if path in ("/register", SERVER)]


def test_metadata_of_another_issuer(door: FrontDoor, start: Start) -> None:
    """RFC 8414 §3.3."""
    door.server["issuer"] = "https://other.example"
    assert (
        refusal(start(door.url)) == f"the metadata of {door.origin} are those of another issuer (https://other.example)"
    )


def test_no_pkce_no_sign_in(door: FrontDoor, start: Start) -> None:
    door.server["code_challenge_methods_supported"] = ["plain"]
    assert "PKCE with S256" in refusal(start(door.url))


@pytest.mark.parametrize(
    ("document", "name"),
    [("server", "authorization_endpoint"), ("server", "token_endpoint"), ("server", "registration_endpoint")],
)
def test_plain_http_elsewhere(door: FrontDoor, start: Start, document: str, name: str) -> None:
    getattr(door, document)[name] = "http://other.example/x"
    bridge = start(door.url)
    if name == "token_endpoint":
        number = bridge.begin()
        answered(bridge, iss=door.origin)
        sentence = bridge.answer(number)["error"]["message"]
    else:
        sentence = refusal(bridge)
    assert sentence == f"{door.origin} names http://other.example/x as its {name}, which is not https"


def test_an_authorization_server_on_plain_http(door: FrontDoor, start: Start) -> None:
    door.resource["authorization_servers"] = ["http://other.example"]
    assert "which is not https" in refusal(start(door.url))


@pytest.mark.parametrize("host", ["192.0.2.1", "127.evil.example", "127.0.0.1.evil.example"])
def test_no_key_over_plain_http(start: Start, host: str) -> None:
    sentence = refusal(start(f"http://{host}/mcp", "--api-key-env", "KEY", KEY="secret"))
    assert sentence == f"http://{host}/mcp is not https, so no credentials are sent there"


def test_a_token_endpoint_that_only_looks_like_this_computer(door: FrontDoor, start: Start) -> None:
    """RFC 8252 §8.3 is about addresses of this computer, not about names that begin like one."""
    door.server["registration_endpoint"] = "http://127.evil.example/register"
    sentence = f"{door.origin} names http://127.evil.example/register as its registration_endpoint, which is not https"
    assert refusal(start(door.url)) == sentence


@pytest.mark.parametrize(
    ("iss", "words"), [("https://other.example", "from another server"), (None, "does not say that")]
)
def test_an_answer_of_another_server(door: FrontDoor, start: Start, iss: str | None, words: str) -> None:
    """Mix-up (RFC 9207 §2.4): its code is sent nowhere, and its error is not shown."""
    bridge = start(door.url)
    number = bridge.begin()
    answered(bridge, iss=iss, error="you_are_hacked")
    sentence = bridge.answer(number)["error"]["message"]
    assert words in sentence
    assert "hacked" not in sentence
    assert ("POST", "/token") not in door.asked


def test_an_answer_to_nothing_that_was_asked(door: FrontDoor, start: Start) -> None:
    """RFC 6749 §10.12: without our `state` it is not an answer, and the waiting goes on."""
    door.replies["POST", "/token"] = as_json(TOKEN)
    bridge = start(door.url)
    number = bridge.begin()
    asked = parse_qs(urlsplit(bridge.address()).query)
    redirect_uri, state = asked["redirect_uri"][0], asked["state"][0]
    for query in (
        "",
        "?code=x",
        "?code=x&state=wrong",
        f"?code=x&code=y&state={state}",
        "?" + "a=1&" * 1000,
        "?%ff=%00",
    ):
        assert http().get(f"{redirect_uri}{query}").status_code == 400
    assert http().post(f"{redirect_uri}?code=x&state={state}").status_code == 400
    assert (
        http().get(f"{redirect_uri}?{urlencode({'code': 'x', 'state': state, 'iss': door.origin})}").status_code == 200
    )
    answered(bridge, iss=door.origin)  # the server, as made here, refuses every token
    assert "refuses the token" in bridge.answer(number)["error"]["message"]


def test_what_the_authorization_asks_for(door: FrontDoor, start: Start) -> None:
    bridge = start(door.url)
    bridge.begin()
    asked = {name: value for name, (value,) in parse_qs(urlsplit(bridge.address()).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert asked["resource"] == door.url
    assert asked["scope"] == "read"
    assert asked["redirect_uri"].startswith("http://127.0.0.1:")
    assert len(asked["state"]) >= 22


@pytest.mark.parametrize("status", [302, 307, 308])
def test_credentials_follow_no_redirect(door: FrontDoor, start: Start, status: int) -> None:
    """Neither the key to another MCP server, nor the code to another token endpoint."""
    other = FrontDoor()
    try:
        door.replies["POST", "/mcp"] = (status, {"Location": f"{other.url}?token=x"}, b"")
        sentence = refusal(start(door.url, "--api-key-env", "KEY", KEY="secret"))
        assert sentence == f"{door.url} redirects to {other.url}; if that is right, give that address instead"
        del door.replies["POST", "/mcp"]
        door.replies["POST", "/token"] = (status, {"Location": f"{other.origin}/token"}, b"")
        bridge = start(door.url)
        number = bridge.begin()
        answered(bridge, iss=door.origin)
        assert "not sent on to" in bridge.answer(number)["error"]["message"]
        assert not other.asked
    finally:
        other.close()


def test_a_slash_more_is_no_other_server(door: FrontDoor, start: Start) -> None:
    """What many frameworks do."""
    door.replies["POST", "/mcp"] = (307, {"Location": f"{door.url}/"}, b"")
    door.replies["POST", "/mcp/"] = as_json({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25"}})
    bridge = start(door.url, "--api-key-env", "KEY", KEY="secret")
    assert "result" in bridge.answer(bridge.begin())


def test_a_certificate_of_nobody(start: Start, tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path)
    door = FrontDoor(tls)
    door.replies["POST", "/register"] = REGISTERED
    door.replies["GET", "/authorize"] = PAGE
    try:
        sentence = refusal(start(door.url, "--api-key-env", "KEY", KEY="secret"))
        host = urlsplit(door.url).netloc
        assert sentence.startswith(f"the certificate of {host} is not to be trusted: ")
        assert not door.asked
        trusting = start(door.url, "--ca-file", str(authority))
        trusting.begin()
        assert trusting.address().startswith(f"{door.origin}/authorize?")
    finally:
        door.close()


def test_a_certificate_of_another_name(start: Start, tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path, name="other.example")
    door = FrontDoor(tls)
    try:
        sentence = refusal(start(door.url, "--ca-file", str(authority), "--api-key-env", "KEY", KEY="secret"))
        assert "is not to be trusted" in sentence
        assert not door.asked
    finally:
        door.close()


def test_words_of_a_stranger_are_made_harmless(door: FrontDoor, start: Start) -> None:
    """A server that repeats the code, colours the terminal or talks without end."""
    code = "a-code-that-is-as-long-as-codes-are-0123456789"
    evil = f"\x1b[31m{code}\r\ngatehouse: all is well " + "x" * 10_000
    door.replies["POST", "/token"] = as_json({"error": "invalid_grant", "error_description": evil}, 400)
    bridge = start(door.url)
    number = bridge.begin()
    answered(bridge, iss=door.origin, code=code)
    sentence = bridge.answer(number)["error"]["message"]
    assert sentence.startswith(f"{door.origin}/token refused (invalid_grant: ")
    bridge.hears("invalid_grant")
    for text in (sentence, bridge.words(), "".join(bridge.said)):
        assert code not in text
        assert "\x1b" not in text
        assert "\ngatehouse: all is well" not in text
    assert len(sentence) < 500


@pytest.mark.parametrize(
    "document", [{"access_token": 7}, {}, {**TOKEN, "token_type": "DPoP"}, {"access_token": "a\nb"}]
)
def test_an_answer_without_a_token(door: FrontDoor, start: Start, document: dict[str, Any]) -> None:
    door.replies["POST", "/token"] = as_json(document)
    bridge = start(door.url)
    number = bridge.begin()
    answered(bridge, iss=door.origin)
    message = bridge.answer(number)["error"]["message"]
    assert "without an access token" in message or "only Bearer" in message


def test_a_token_that_is_refused_at_once_is_not_asked_for_without_end(door: FrontDoor, start: Start) -> None:
    door.replies["POST", "/token"] = as_json({**TOKEN, "refresh_token": "r"})
    bridge = start(door.url)
    number = bridge.begin()
    for _ in range(2):
        answered(bridge, iss=door.origin)
    assert bridge.answer(number)["error"]["message"] == f"{door.url} refuses the token that it was just given"
    assert TOKEN["access_token"] not in bridge.words()


def test_answers_that_are_none(door: FrontDoor, start: Start) -> None:
    bridge = start(door.url, "--api-key-env", "KEY", KEY="secret")
    replies: list[tuple[Reply, str]] = [
        ((200, {"Content-Type": "text/html"}, b"<html>"), "HTTP 200 and no answer"),
        ((200, {"Content-Type": "application/json"}, b"{"), "not JSON-RPC"),
        (as_json({"jsonrpc": "2.0", "id": 99, "result": {}}), "not JSON-RPC"),
        ((202, {}, b""), "HTTP 202 and no answer"),
        ((200, {"Content-Type": "text/event-stream"}, b"data: {\n\n"), "not JSON-RPC"),
        ((500, {"Content-Type": "text/html"}, b"<html>"), "HTTP 500"),
    ]
    for reply, words in replies:
        door.replies["POST", "/mcp"] = reply
        answer = bridge.answer(bridge.ask("tools/call", {"name": "x"}))
        assert words in answer["error"]["message"]
    door.replies["POST", "/mcp"] = as_json(
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": "no"}}, 404
    )
    assert bridge.answer(bridge.ask("tools/call", {"name": "x"}))["error"] == {"code": -32601, "message": "no"}


def test_who_waits_for_another_process_is_told(door: FrontDoor, start: Start) -> None:
    """One sign-in at a time; when the process that asked has ended, the next one asks."""
    first, second = start(door.url), start(door.url)
    first.begin()
    first.address()
    second.begin()
    second.hears("waiting for another gatehouse")
    first.end()
    assert second.address()


def test_a_server_without_registration_says_what_to_give(door: FrontDoor, start: Start) -> None:
    del door.server["registration_endpoint"]
    assert "--client-id" in refusal(start(door.url))
    bridge = start(door.url, "--client-id", "mine", "--redirect-uri", "http://localhost/cb")
    bridge.begin()
    assert "client_id=mine&redirect_uri=http%3A%2F%2Flocalhost%3A" in bridge.address()


def test_a_document_stands_for_the_client(door: FrontDoor, start: Start) -> None:
    """CIMD where the server takes it, and it is not registered then; registration where it does not."""
    document = "https://me.example/client.json"
    bridge = start(door.url, "--client-document", document)
    bridge.begin()
    assert f"client_id={urlencode({'': document})[1:]}" in bridge.address()
    assert ("POST", "/register") not in door.asked
    bridge.end()
    door.server["client_id_metadata_document_supported"] = False
    bridge = start(door.url, "--client-document", document)
    bridge.begin()
    assert "client_id=one" in bridge.address()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["connect", "ftp://x/mcp"], "the address must be a http or https URL"),
        (["connect", "https://user:pass@x.example/mcp"], "without credentials"),
        (["connect", "https://x.example/mcp", "--api-key-env", "NOT_THERE"], "the environment has no usable NOT_THERE"),
        (["connect", "https://x.example/mcp", "--header", "no colon"], "--header wants"),
        (["connect", "https://x.example/mcp", "--header", "A: b\nC: d"], "--header wants"),
        (["connect", "https://x.example/mcp", "--redirect-uri", "https://x.example/"], "one of this computer"),
        (["whoami"], "Missing argument"),
    ],
)
def test_asked_for_wrongly(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = ran(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_no_record_is_nothing_kept(door: FrontDoor, tmp_path: Path) -> None:
    assert ran(tmp_path, "logout", door.url).stdout == "You were not signed in.\n"
    (lock,) = (tmp_path / ".config/gatehouse/connections").glob("*.lock")
    for content in ("", "{", "[]", json.dumps({"client": {}}), json.dumps({"tokens": 7, "client": None})):
        file = lock.with_suffix(".json")
        file.write_text(content)
        file.chmod(0o600)
        assert "not signed in" in ran(tmp_path, "whoami", door.url).stderr
