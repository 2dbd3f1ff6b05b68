"""Bytes that no client library sends: one request is seen once or not at all, and the process goes on (RFC 9112 §11)."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest

from app.cli.wire import HEAD_SECONDS
from tests.actors import App, Browser, http
from tests.conftest import House

FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.fixture(autouse=True)
def alive(house: House) -> Iterator[None]:
    """Whatever came, the next client is served."""
    yield
    assert http().get(f"{house.url}/healthz").status_code == 200


def host(house: House) -> str:
    return urlsplit(house.url).netloc


def sent(house: House, *chunks: bytes, seconds: float = 1.0, answers: int = 0) -> bytes:
    """What comes back until the server closes the connection, has been silent so long, or has answered so often."""
    with socket.create_connection(("127.0.0.1", urlsplit(house.url).port or 0), 5) as connection:
        connection.settimeout(seconds)
        received = b""
        try:
            for chunk in chunks:
                connection.sendall(chunk)
            while more := connection.recv(65536):
                received += more
                if answers and received.count(b"HTTP/1.1 ") >= answers and received.endswith(b"}"):
                    break
        except (TimeoutError, ConnectionError):
            pass
        return received


def head(house: House, line: str, *fields: str) -> bytes:
    return "\r\n".join([line, f"Host: {host(house)}", *fields, "", ""]).encode("latin-1")


def hidden(house: House) -> bytes:
    """What is smuggled; if it is served, it shows."""
    return head(house, "GET /.well-known/jwks.json HTTP/1.1")


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


SMUGGLED = {
    "Content-Length and Transfer-Encoding": ["Content-Length: 4", "Transfer-Encoding: chunked"],
    "the other way round": ["Transfer-Encoding: chunked", "Content-Length: 4"],
    "Transfer-Encoding twice": ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    "Transfer-Encoding, another last": ["Transfer-Encoding: chunked, identity"],
    "Transfer-Encoding, misspelt": ["Transfer-Encoding: xchunked"],
    "Transfer-Encoding behind a blank": ["Transfer-Encoding : chunked"],
    "Transfer-Encoding behind a tab": ["Transfer-Encoding:\x0bchunked"],
    "Content-Length twice": ["Content-Length: 4", "Content-Length: 5"],
    "Content-Length as a list": ["Content-Length: 4, 5"],
    "Content-Length with a sign": ["Content-Length: +4"],
    "Content-Length below zero": ["Content-Length: -1"],
    "Content-Length in another base": ["Content-Length: 0x4"],
    "Content-Length beyond all bounds": ["Content-Length: 99999999999999999999999"],
    "a folded field": ["X-Folded: one", " Content-Length: 4"],
    "a field without a name": [": x"],
    "a field without a colon": ["chunked"],
    "a NUL in a field": ["X: a\x00b"],
    "a carriage return in a field": ["X: a\rContent-Length: 4"],
}


@pytest.mark.parametrize("fields", SMUGGLED.values(), ids=SMUGGLED)
def test_what_two_readers_could_read_differently_is_refused(house: House, fields: list[str]) -> None:
    """RFC 9112 §6.3, §5.1, §5.2: 400, the connection ends, and what came behind is not served."""
    answer = sent(house, head(house, "POST /token HTTP/1.1", FORM, *fields) + b"0\r\n\r\n" + hidden(house))
    assert statuses(answer) == [400], answer
    assert b'"keys"' not in answer


def test_bare_line_feeds_are_no_ends(house: House) -> None:
    """RFC 9112 §2.2: a proxy that does not take them for ends has seen one request."""
    two = head(house, "GET /healthz HTTP/1.1", f"X: y\n\nGET /.well-known/jwks.json HTTP/1.1\nHost: {host(house)}")
    answer = sent(house, two)
    assert b'"keys"' not in answer
    assert len(statuses(answer)) == 1


@pytest.mark.parametrize("size", [b"0;" + b"x" * 20_000, b"-1", b"ffffffffffffffffff", b"0x5", b"5 ", b""])
def test_chunks_of_odd_sizes(house: House, size: bytes) -> None:
    """RFC 9112 §7.1: an extension is read over, but not for ever; a size is digits."""
    chunked = head(house, "POST /token HTTP/1.1", FORM, "Transfer-Encoding: chunked")
    answer = sent(house, chunked + size + b"\r\n", b"hello\r\n0\r\n\r\n" + hidden(house))
    assert b'"keys"' not in answer or statuses(answer)[0] == 400, answer
    assert all(status < 500 for status in statuses(answer))


def test_a_body_longer_than_it_says_is_no_second_request(house: House) -> None:
    answer = sent(house, head(house, "POST /token HTTP/1.1", FORM, "Content-Length: 3") + b"a=bEVIL stuff\r\n\r\n")
    assert set(statuses(answer)) == {400}
    assert len(statuses(answer)) <= 2


def test_a_body_shorter_than_it_says_is_waited_for_and_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.bodies.BODY_SECONDS", 0.3)
    began = time.monotonic()
    answer = sent(house, head(house, "POST /token HTTP/1.1", FORM, "Content-Length: 30") + b"a=b", seconds=20)
    assert statuses(answer) == [408]
    assert time.monotonic() - began < 10, "and the connection ends"


def test_a_client_that_drips_after_its_answer_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the body at an address that nobody serves; nor for its end afterwards."""
    monkeypatch.setattr("app.cli.wire.HEAD_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", urlsplit(house.url).port or 0), 5) as connection:
        connection.sendall(head(house, "POST /nothing HTTP/1.1", FORM, "Content-Length: 60000"))
        began, ended = time.monotonic(), False
        while not ended and time.monotonic() - began < 10:
            try:
                connection.sendall(b"a")
                connection.settimeout(0.1)
                ended = connection.recv(65536) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
    assert ended


def test_a_client_that_drips_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is the body's, not the byte's."""
    monkeypatch.setattr("app.bodies.BODY_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", urlsplit(house.url).port or 0), 5) as connection:
        connection.sendall(head(house, "POST /token HTTP/1.1", FORM, "Content-Length: 60000"))
        connection.settimeout(0.1)
        received, began = b"", time.monotonic()
        while not received and time.monotonic() - began < 20:
            connection.sendall(b"a")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue
    assert statuses(received) == [408]


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_never_ends_is_given_up(house: House, begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """First on a connection, or after an answer."""
    monkeypatch.setattr("app.cli.wire.HEAD_SECONDS", 0.3)
    for before in ((), (head(house, "GET /healthz HTTP/1.1"),)) if begun else ((),):
        began = time.monotonic()
        answer = sent(house, *before, begun, seconds=20)
        assert statuses(answer) == [200] * len(before)
        assert time.monotonic() - began < 10


HEADS = {
    "one field": ["X: " + "x" * 17_000],
    "all together": [f"X-{number}: " + "x" * 400 for number in range(50)],
    "too many": [f"X{number}: y" for number in range(120)],
    "many megabytes": ["X: " + "x" * 4_000_000],
}


@pytest.mark.parametrize("fields", HEADS.values(), ids=HEADS)
def test_a_head_has_bounds(house: House, fields: list[str]) -> None:
    """16 KiB, 100 fields (security.md §5)."""
    answer = sent(house, head(house, "GET /healthz HTTP/1.1", *fields))
    # Whoever is still sending when the connection ends may not come to read.
    assert statuses(answer) == [431] or (not answer and len(fields[0]) > 100_000)


def test_a_target_has_bounds(house: House) -> None:
    assert statuses(sent(house, head(house, f"GET /healthz?{'x' * 20_000} HTTP/1.1"))) == [431]
    assert statuses(sent(house, head(house, f"GET /healthz?{'x' * 8_000} HTTP/1.1"))) == [200]


def test_a_long_head_in_many_pieces_is_one_request(house: House) -> None:
    whole = head(house, "GET /healthz HTTP/1.1", "X: " + "x" * 15_000)
    pieces = [whole[at : at + 1000] for at in range(0, len(whole), 1000)]
    assert statuses(sent(house, *pieces)) == [200]
    assert statuses(sent(house, *[whole] * 5)) == [200] * 5, "the next head is counted anew"


@pytest.mark.parametrize(
    "target", ["http://evil.example/healthz", "http://{host}/healthz", "evil.example:443", "healthz"]
)
def test_only_a_path_is_a_target(house: House, target: str) -> None:
    """RFC 9112 §3.2: we are no proxy; and what an absolute one says may differ from Host."""
    answer = sent(house, head(house, f"GET {target.format(host=host(house))} HTTP/1.1"))
    assert statuses(answer) == [400]


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "TRACK", "PRI", "FOO", "get"])
def test_methods_that_nobody_serves(house: House, method: str) -> None:
    answer = sent(house, head(house, f"{method} /token HTTP/1.1", "Secret: seen"))
    assert statuses(answer)[0] in (400, 404, 405)
    assert b"seen" not in answer


HOSTS = {
    "none": [],
    "two": ["Host: {host}", "Host: {host}"],
    "another": ["Host: evil.example"],
    "with a path": ["Host: {host}/x?y=#z"],
    "empty": ["Host: "],
    "with a user": ["Host: a@{host}"],
    "a list": ["Host: {host}, evil.example"],
}


@pytest.mark.parametrize("path", ["/", "/login", "/token", "/mcp", "/.well-known/jwks.json", "/nothing", "/static/x"])
@pytest.mark.parametrize("fields", HOSTS.values(), ids=HOSTS)
def test_one_host_and_one_of_ours(house: House, path: str, fields: list[str]) -> None:
    """RFC 9112 §3.2, RFC 9110 §7.4: at every address, not only where the tools are."""
    lines = [f"GET {path} HTTP/1.1", *(field.format(host=host(house)) for field in fields), "Connection: close", "", ""]
    (status,) = statuses(sent(house, "\r\n".join(lines).encode()))
    assert status in (400, 421)


def test_probes_need_not_know_our_name(house: House) -> None:
    """A load balancer asks by address."""
    for path in ("/healthz", "/readyz"):
        lines = f"GET {path} HTTP/1.1\r\nHost: 10.0.0.7:8000\r\nConnection: close\r\n\r\n"
        assert statuses(sent(house, lines.encode(), seconds=10)) == [200]


def test_an_upgrade_is_not_made(house: House) -> None:
    """h2c and websockets (RFC 9110 §7.8): the request is answered as if nobody had asked, or refused, and what comes behind it is
    not taken for requests that nobody checked."""
    asks = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]
    for fields in (asks, ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]):
        answer = sent(house, head(house, "GET /healthz HTTP/1.1", *fields) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert 101 not in statuses(answer)
        assert len(statuses(answer)) <= 2
    form = b"grant_type=authorization_code&code=x"
    posted = head(house, "POST /token HTTP/1.1", FORM, f"Content-Length: {len(form)}", *asks) + form
    assert statuses(sent(house, posted, seconds=3, answers=1)) == [400]


def test_requests_without_waiting_are_answered_in_order_and_once(house: House) -> None:
    """RFC 9112 §9.3.2: fifty registrations on one connection, each of which is another client."""
    bodies = [b'{"redirect_uris":["http://127.0.0.1:1/%d"],"token_endpoint_auth_method":"none"}' % n for n in range(50)]
    kind = "Content-Type: application/json"
    requests = [head(house, "POST /register HTTP/1.1", kind, f"Content-Length: {len(b)}") + b for b in bodies]
    answer = sent(house, b"".join(requests), seconds=20, answers=50)
    assert statuses(answer) == [201] * 50
    places = [answer.find(b'127.0.0.1:1/%d"' % number) for number in range(50)]
    assert places == sorted(places)
    assert house.sql("SELECT count(*) FROM clients") == [(50,)]


def test_a_connection_that_is_cut_anywhere_does_it_once_or_not_at_all(app: App, house: House) -> None:
    """A code that was sent by halves is not spent; one that was sent whole is, and nobody waits for the answer."""
    code = app.code(Browser(house.url))
    form = (
        f"grant_type=authorization_code&code={code}&code_verifier={app.code_verifier}"
        f"&client_id={app.client_id}&redirect_uri={app.redirect_uri}"
    ).encode()
    whole = head(house, "POST /token HTTP/1.1", FORM, f"Content-Length: {len(form)}") + form
    for part in range(0, len(whole), 97):
        with socket.create_connection(("127.0.0.1", urlsplit(house.url).port or 0), 5) as connection:
            connection.sendall(whole[:part])
    assert house.sql("SELECT count(*) FROM connections") == [(0,)]
    assert statuses(sent(house, whole)) == [200]
    assert statuses(sent(house, whole)) == [400]


def test_ten_thousand_bytes_of_noise(house: House) -> None:
    noise = random.Random(8)
    for _ in range(40):
        answer = sent(house, noise.randbytes(10_000), seconds=0.5)
        assert all(status in (400, 431) for status in statuses(answer)), answer[:200]


def test_limits_see_through_trusted_proxies_and_count_networks(house: House, dsn: str) -> None:
    """The rightmost hop that is no proxy of ours; of IPv6 the /64, however it is written."""
    behind = House(
        dsn,
        register_per_minute=3,
        trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
    ).start()
    try:
        ports = iter(range(1, 1000))

        def register(forwarded: str) -> int:
            document = {"redirect_uris": [f"http://127.0.0.1:{next(ports)}/cb"]}
            return (
                http().post(f"{behind.url}/register", json=document, headers={"X-Forwarded-For": forwarded}).status_code
            )

        one_network = [
            "2001:db8:1:2::1",
            "2001:0DB8:0001:0002:ffff::1, 10.1.2.3",
            "6.6.6.6, 2001:db8:1:2:a:b:c:d, fd00::9",
            "2001:db8:1:2:0:0:192.0.2.1",
        ]
        assert [register(address) for address in one_network] == [201, 201, 201, 429]
        assert register("2001:db8:1:3::1") == 201, "the network next door"
        mapped = ["203.0.113.7", "::ffff:203.0.113.7", "::ffff:cb00:7107", "8.8.8.8, 203.0.113.7"]
        assert [register(address) for address in mapped] == [201, 201, 201, 429]
        assert register("203.0.113.7, 203.0.113.8") == 201, "what a client says of itself does not count"
    finally:
        behind.stop()


def test_what_stands_behind_a_body_is_no_field_of_its_head(house: House, dsn: str) -> None:
    """RFC 9110 §6.5.1: a proxy that takes X-Forwarded-For out of the head leaves the trailer as it is."""
    behind = House(dsn, register_per_minute=3, trusted_proxies=(ip_network("127.0.0.0/8"),)).start()
    try:

        def register(number: int) -> int:
            body = b'{"redirect_uris": ["http://127.0.0.1:%d/cb"]}' % (number + 1)
            fields = ("Content-Type: application/json", "Transfer-Encoding: chunked", "X-Forwarded-For: 203.0.113.7")
            trailer = b"0\r\nX-Forwarded-For: 198.51.100.%d\r\n\r\n" % number
            request = head(behind, "POST /register HTTP/1.1", *fields) + b"%x\r\n%s\r\n" % (len(body), body) + trailer
            return statuses(sent(behind, request, answers=1))[0]

        assert [register(number) for number in range(5)] == [201, 201, 201, 429, 429]
    finally:
        behind.stop()


@pytest.mark.parametrize("fields", [b"a: b\r\n" * 40_000, b"a: " + b"b" * 240_000], ids=["many", "one without end"])
def test_a_trailer_has_an_end(house: House, fields: bytes) -> None:
    """Else it would fill the memory long before the body is late."""
    request = head(house, "GET /healthz HTTP/1.1", "Transfer-Encoding: chunked") + b"0\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(house.url).port or 0), 10) as connection:
        connection.sendall(request)
        with pytest.raises(ConnectionError):
            connection.sendall(fields * 100)


def test_line_ends_after_an_answer_keep_no_connection_open(house: House) -> None:
    """They may stand before a request (RFC 9112 §2.2), which has to come in time nevertheless."""
    with socket.create_connection(("127.0.0.1", urlsplit(house.url).port or 0), 5) as connection:
        connection.settimeout(HEAD_SECONDS + 8)
        connection.sendall(head(house, "GET /healthz HTTP/1.1"))
        assert connection.recv(65536)
        connection.sendall(b"\r\n")
        began = time.monotonic()
        assert connection.recv(1) == b""
        assert HEAD_SECONDS - 2 < time.monotonic() - began < HEAD_SECONDS + 5
