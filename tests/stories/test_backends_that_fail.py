"""A remote server that dies, hangs, answers nonsense or too much: its caller is told so, in JSON-RPC and in time, and others notice
nothing."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.resources.model import UrlBackend
from bench.servers import free_port
from tests.backends import Backend, Front, Received, Talk, Wire, answer, fronted, head, silence
from tests.conftest import House
from tests.websites import certificate

SECRET = b"Traceback (most recent call last): File /srv/secret.py"


class Stand:
    """Puts up backends with the proxy in front; limits are short, so that a test need not wait."""

    def __init__(self, house: House, stack: ExitStack) -> None:
        self.house = house
        self._stack = stack

    def __call__(self, talk: Talk, tls: ssl.SSLContext | None = None, **options: Any) -> tuple[Backend, Front]:
        backend = Backend(talk, tls)
        self._stack.callback(backend.close)
        return backend, self.front(backend.url, **options)

    def front(self, url: str, **options: Any) -> Front:
        limits: dict[str, Any] = {"timeout": 0.6, "silence": 0.6, "longest": 20.0} | options
        return self._stack.enter_context(fronted(self.house, UrlBackend(url, **limits)))


@pytest.fixture
def stand(house: House) -> Iterator[Stand]:
    with ExitStack() as stack:
        yield Stand(house, stack)


def told(response: httpx2.Response, status: int, word: str, identifier: object = 7) -> None:
    """A JSON-RPC error with the caller's id and the request's, and nothing from inside."""
    body = response.json()
    assert (response.status_code, body["error"]["data"]["error"]) == (status, word)
    assert body["id"] == identifier
    assert body["jsonrpc"] == "2.0"
    assert -32019 <= body["error"]["code"] <= -32000
    assert len(body["error"]["data"]["request_id"]) == 16
    assert "secret" not in response.text
    assert "127.0.0.1" not in response.text


def is_fine(front: Front, backend: Backend) -> None:
    """Whoever comes next is served as if nothing had been."""

    async def fine(asked: Received, wire: Wire) -> None:
        await wire.result(asked, {"fine": True})

    backend.talk = fine
    assert front.call(who="bob", identifier="next").json() == {"jsonrpc": "2.0", "id": "next", "result": {"fine": True}}


def test_nobody_listens(stand: Stand) -> None:
    front = stand.front(f"http://127.0.0.1:{free_port()}/mcp")
    for identifier in (7, "seven", 0):
        told(front.call(identifier=identifier), 502, "backend_unreachable", identifier)
    told(front.request("GET"), 502, "backend_unreachable", None)


def test_its_name_is_not_known(stand: Stand) -> None:
    told(stand.front("http://nowhere.invalid/mcp", timeout=5.0).call(), 502, "backend_unreachable")


def test_its_certificate_is_of_nobody_we_know(stand: Stand, authority: Path, tmp_path: Path) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.result(asked)

    stranger, front = stand(talk, server_tls(certificate(tmp_path)), timeout=5.0)
    told(front.call(), 502, "backend_unreachable")
    known, front = stand(talk, server_tls(authority), timeout=5.0)
    assert front.call().status_code == 200
    elsewhere = known.url.replace("localhost", "127.0.0.2")  # the certificate does not name it
    told(stand.front(elsewhere, timeout=5.0).call(), 502, "backend_unreachable")
    assert (len(stranger.received), len(known.received)) == (0, 1)


def server_tls(pem: Path) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    return tls


def test_it_hangs_before_anything(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await silence()

    backend, front = stand(talk)
    began = time.perf_counter()
    told(front.call(), 504, "backend_timeout")
    assert 0.5 < time.perf_counter() - began < 1.5
    assert backend.gone.wait(5)
    told(front.request("GET"), 504, "backend_timeout", None)
    is_fine(front, backend)


def test_it_drips(stand: Stand) -> None:
    """A byte now and then is no sign of life for an answer that is to be whole within its time."""

    async def talk(asked: Received, wire: Wire) -> None:
        for sign in head(200, "application/json", Content_Length="100") + b"{" + b" " * 90:
            await wire.raw(bytes([sign]))
            await asyncio.sleep(0.02)

    backend, front = stand(talk)
    began = time.perf_counter()
    told(front.call(), 504, "backend_timeout")
    assert time.perf_counter() - began < 1.5
    is_fine(front, backend)


def test_it_hangs_in_the_middle(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.raw(head(200, "application/json", Content_Length="100") + b'{"jsonrpc"')
        await silence()

    backend, front = stand(talk)
    told(front.call(), 504, "backend_timeout")
    is_fine(front, backend)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-", head(200, "application/json", Content_Length="9") + b"{"]
)
def test_it_dies(stand: Stand, said: bytes) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.raw(said)
        wire.cut()

    backend, front = stand(talk)
    told(front.call(), 502, "backend_broke_off")
    is_fine(front, backend)


OK = head(200, "application/json", Content_Length="2")
GARBAGE = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "no JSON": head(200, "application/json", Content_Length="9") + b"<html>hi!",
    "HTML": head(200, "text/html", Content_Length="9") + b"<html>hi!",
    "no type": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "no JSON-RPC": OK + b"{}",
    "an array": OK + b"[]",
    "a number": head(200, "application/json", Content_Length="1") + b"1",
    "nothing": head(200, "application/json", Content_Length="0"),
    "accepted": b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "two framings": head(200, "application/json", Content_Length="2", Transfer_Encoding="chunked") + b"{}",
    "two lengths": head(200, "application/json", Content_Length="2").replace(
        b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n"
    )
    + b"{}",
    "no such chunk": head(200, "application/json", Transfer_Encoding="chunked") + b"zz\r\n",
    "compressed": head(200, "application/json", Content_Length="2", Content_Encoding="gzip") + b"{}",
    "wrong address": head(404, "text/html", Content_Length="4") + b"<p>?",
    "only GET": head(405, "text/html", Content_Length="4") + b"<p>?",
    "long head": b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"y" * 200_000,
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000,
    "another's answer": head(200, "application/json", Content_Length="36") + b'{"jsonrpc":"2.0","id":8,"result":{}}',
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE.keys())
def test_it_answers_nonsense(stand: Stand, said: bytes) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.raw(said)
        await silence()

    backend, front = stand(talk)
    told(front.call(), 502, "backend_unintelligible")
    is_fine(front, backend)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_sends_us_elsewhere(stand: Stand, status: int) -> None:
    """Never followed: what we send is for this address alone."""
    other, _ = stand(lambda asked, wire: wire.result(asked))

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.reply(status, b"", "text/html", Location=other.url)

    _, front = stand(talk)
    response = front.call()
    told(response, 502, "backend_unintelligible")
    assert "location" not in response.headers
    assert not other.received


@pytest.mark.parametrize("status", [401, 403, 407])
def test_it_does_not_accept_us(stand: Stand, status: int) -> None:
    """As our own 401 the client would throw its token away, and sign in again for nothing."""

    async def talk(asked: Received, wire: Wire) -> None:
        challenge = 'Bearer resource_metadata="https://elsewhere.example"'
        await wire.reply(status, b'{"error":"secret"}', WWW_Authenticate=challenge, Proxy_Authenticate="Basic")

    _, front = stand(talk)
    for method in ("POST", "GET", "DELETE"):
        response = front.call() if method == "POST" else front.request(method)
        told(response, 502, "backend_refused", 7 if method == "POST" else None)
        assert "www-authenticate" not in response.headers


@pytest.mark.parametrize(
    ("status", "word", "ours"),
    [
        (500, "backend_failed", 502),
        (502, "backend_failed", 502),
        (503, "backend_busy", 503),
        (429, "backend_busy", 503),
    ],
)
def test_it_has_faults_of_its_own(stand: Stand, status: int, word: str, ours: int) -> None:
    """Its words may name what is inside; when to come again may be known."""

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.reply(status, SECRET, "text/plain", Retry_After="7")

    _, front = stand(talk)
    response = front.call()
    told(response, ours, word)
    assert response.headers.get("retry-after") == ("7" if ours == 503 else None)


def test_its_own_refusals_of_a_request_stand(stand: Stand) -> None:
    body = b'{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}'

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.reply(400, body if asked.header("accept-language") else b"<p>bad", "application/json")

    _, front = stand(talk)
    own = front.call(Accept_Language="en")
    assert (own.status_code, own.content) == (400, body)
    told(front.call(), 400, "backend_failed")


@pytest.mark.parametrize("declared", [True, False])
def test_it_sends_fifty_megabytes(stand: Stand, declared: bool) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        length = {"Content_Length": str(50_000_000)} if declared else {"Transfer_Encoding": "chunked"}
        await wire.raw(head(200, "application/json", **length))
        for _ in range(50):
            await (wire.raw(b" " * 1_000_000) if declared else wire.chunk(b" " * 1_000_000))

    backend, front = stand(talk, timeout=20.0, largest=1_000_000)
    told(front.call(), 502, "backend_answer_too_large")
    is_fine(front, backend)


def test_what_may_be_large_is_not_touched(stand: Stand) -> None:
    text = "ä" * 1_000_000

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.result(asked, {"text": text})

    _, front = stand(talk, timeout=20.0)
    assert front.call().json()["result"]["text"] == text


def events_of(response: httpx2.Response) -> list[Any]:
    """As a client takes them: of kind message, with their data as JSON."""
    found, kind, data = [], "message", []
    for line in response.iter_lines():
        if line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:])
        elif not line:
            if data and kind == "message":
                found.append(json.loads("".join(data)))
            kind, data = "message", []
    return found


PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1, "progressToken": 1}}


@pytest.mark.parametrize("way", ["dies", "dies in an event", "hangs", "never ends", "bad chunk"])
def test_its_stream_ends_early(stand: Stand, way: str) -> None:
    """The head has gone out already: so the error is an event, which what was cut before it cannot spoil."""

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.stream()
        await wire.event(PROGRESS)
        if way == "dies in an event":
            await wire.chunk(b'event: message\ndata: {"jsonrpc":"2.0","id":7,"resu')
        if way == "bad chunk":
            await wire.raw(b"zz\r\n")
        while way == "never ends":
            await wire.event(PROGRESS)
            await asyncio.sleep(0.02)
        if way in ("hangs", "bad chunk"):
            await silence()
        await asyncio.sleep(0.05)
        wire.cut()

    _, front = stand(talk, longest=1.0)
    began = time.perf_counter()
    with front.streamed() as response:
        first, *between, last = events_of(response)
    assert time.perf_counter() - began < 2.5
    assert first == PROGRESS
    assert all(one == PROGRESS for one in between)
    words = {"hangs": "backend_timeout", "never ends": "backend_timeout", "bad chunk": "backend_unintelligible"}
    assert (last["id"], last["error"]["data"]["error"]) == (7, words.get(way, "backend_broke_off"))


def test_a_stream_that_can_be_taken_up_again_just_ends(stand: Stand) -> None:
    """Its events had ids: the client asks for the rest by itself, which an answer would keep it from (Last-Event-ID)."""

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.stream()
        await wire.event(PROGRESS, "e-1")
        wire.cut()

    _, front = stand(talk)
    with front.streamed() as response:
        assert events_of(response) == [PROGRESS]


def test_a_quiet_stream_that_is_meant_to_last_lasts(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.stream()
        await asyncio.sleep(1.5)  # longer than a call's may be silent
        await wire.event(PROGRESS)
        await wire.end()

    _, front = stand(talk)
    listen = {"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": {}}
    for method, message in (("GET", None), ("POST", listen)):
        with front.streamed(method, message=message) as response:
            assert events_of(response) == [PROGRESS]


@pytest.mark.parametrize(("how", "method"), [("revoked", "GET"), ("revoked", "POST"), ("expired", "GET")])
def test_no_stream_outlives_its_token(stand: Stand, how: str, method: str) -> None:
    """Of a call only a revoked one: it was begun with a token that was good."""

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.stream()
        await wire.event(PROGRESS)
        await silence()

    backend, front = stand(talk, silence=20.0)
    with front.streamed(method, who="eve") as response:
        lines = response.iter_lines()
        next(lines)
        if how == "expired":
            stand.house.turn_clock(seconds=3700)
        else:
            now = stand.house.clock()
            stand.house.world.live.revocations.add("usr_eve", now, now + timedelta(hours=1))
        told = [line for line in lines if line.startswith("data:")][1:]
    assert [json.loads(line[5:])["error"]["data"]["error"] for line in told] == ["token_revoked"] * (method == "POST")
    assert backend.gone.wait(5)


def test_nobody_who_listens_keeps_us_from_stopping(stand: Stand) -> None:
    """What lasts is let go; a call is not."""

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.stream()
        await wire.event(PROGRESS)
        if asked.method == "POST" and asked.message["method"] == "tools/call":
            await asyncio.sleep(0.5)
            await wire.event(answer(asked, {}))
            await wire.end()
        await silence()

    _, front = stand(talk, silence=5.0)
    listen = {"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": {}}
    with front.streamed("GET") as one, front.streamed(message=listen) as other, front.streamed() as call:
        seen = [response.iter_lines() for response in (one, other, call)]
        for lines in seen:
            next(lines)
        front.drain()
        assert [len([line for line in lines if line.startswith("data:")]) for lines in seen] == [1, 1, 2]


def test_a_kept_connection_has_gone_stale(stand: Stand) -> None:
    """Closed while the next request is on its way: asked again where that does no harm, and never where it may."""
    times: dict[str, int] = {}

    async def talk(asked: Received, wire: Wire) -> None:
        name = asked.message["method"]
        times[name] = times.get(name, 0) + 1
        if name != "warm" and times[name] == 1:
            wire.cut()
        else:
            await wire.result(asked)

    _, front = stand(talk)
    front.call("warm")
    assert front.call("tools/list").status_code == 200
    assert times["tools/list"] == 2
    front.call("warm")
    told(front.call("tools/call"), 502, "backend_broke_off")
    assert times["tools/call"] == 1


def test_it_closes_after_each_answer(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        body = json.dumps(answer(asked, {})).encode()
        await wire.raw(
            head(200, "application/json", Connection="close") + body
        )  # no length: it ends with the connection
        wire.writer.close()

    backend, front = stand(talk)
    for _ in range(3):
        assert front.call().status_code == 200
    assert backend.connections == 3


def test_it_says_more_than_it_was_asked(stand: Stand) -> None:
    """A second answer on the same connection must not become the answer to somebody else's question."""

    async def talk(asked: Received, wire: Wire) -> None:
        body = json.dumps(answer(asked, {"who": asked.header("accept-language")})).encode()
        whole = head(200, "application/json", Content_Length=str(len(body))) + body
        await wire.raw(whole + whole.replace(b"ada", b"EVE"))

    backend, front = stand(talk)
    for who in ("ada", "bob", "ada", "cyd"):
        assert front.call(who=who, Accept_Language=who).json()["result"] == {"who": who}
    assert backend.connections == 4


def test_informational_answers_are_passed_over(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await wire.result(asked)

    _, front = stand(talk)
    assert front.call().status_code == 200


def test_others_notice_nothing(stand: Stand) -> None:
    """While fifty calls hang, those of others are answered at once."""

    async def talk(asked: Received, wire: Wire) -> None:
        if asked.message["method"] == "hang":
            await silence()
        await wire.result(asked)

    _, front = stand(talk, timeout=3.0)
    with ThreadPoolExecutor(50) as many:
        hanging = [many.submit(front.call, "hang") for _ in range(50)]
        time.sleep(0.5)
        for _ in range(20):
            began = time.perf_counter()
            assert front.call("quick", who="bob").status_code == 200
            assert time.perf_counter() - began < 0.5
        for one in hanging:
            told(one.result(), 504, "backend_timeout")


def test_one_caller_cannot_hold_everything_open(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.stream()
        await silence()

    _, front = stand(talk, connections=30)
    with ExitStack() as streams:
        for _ in range(16):
            assert streams.enter_context(front.streamed("GET")).status_code == 200
        response = front.call()
        told(response, 429, "too_many_at_once")
        assert response.headers["retry-after"] == "1"
        with front.streamed("GET", who="bob") as other:
            assert other.status_code == 200
