"""A remote server behind the guard, as long as it behaves: what passes, what does not, and as it comes (MCP Streamable HTTP)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest

from app.resources.model import UrlBackend
from tests.backends import Backend, Front, Received, Talk, Wire, answer, fronted, silence
from tests.conftest import House

Stand = Callable[..., tuple[Backend, Front]]


@pytest.fixture
def stand(house: House) -> Iterator[Stand]:
    """A backend that answers so, and the proxy in front of it."""
    with ExitStack() as stack:

        def put_up(talk: Talk, **options: object) -> tuple[Backend, Front]:
            backend = Backend(talk)
            stack.callback(backend.close)
            given = UrlBackend(backend.url, **options)  # type: ignore[arg-type]
            return backend, stack.enter_context(fronted(house, given))

        yield put_up


async def fine(asked: Received, wire: Wire) -> None:
    await wire.result(asked, {"ok": True})


def test_a_call_goes_through_and_comes_back(stand: Stand) -> None:
    backend, front = stand(fine)
    response = front.call(MCP_Protocol_Version="2025-11-25")
    assert (response.status_code, response.json()["result"]) == (200, {"ok": True})
    assert response.headers["content-type"] == "application/json"
    asked = backend.received[0]
    assert (asked.method, asked.target) == ("POST", "/mcp")
    assert asked.header("mcp-protocol-version") == "2025-11-25"
    assert asked.message["params"]["name"] == "x"
    assert asked.header("host") == f"localhost:{backend.port}"


def test_credentials_and_hearsay_stop_here(stand: Stand) -> None:
    """Neither the caller's token nor anything that a backend might take for our word."""
    backend, front = stand(fine)
    hearsay = {
        "Cookie": "a=b",
        "X_Forwarded_For": "1.2.3.4",
        "X_Forwarded_User": "root",
        "Forwarded": "for=1.2.3.4",
        "X_Gatehouse_Identity": "root",
        "X_User": "root",
        "X_Api_Key": "k",
        "Proxy_Authorization": "Basic eA==",
        "Te": "trailers",
        "Connection": "X-Thing, keep-alive",
        "X_Thing": "1",
        "DPoP": "x",
        "Last_Event_ID": "1",  # without a session: whose would it be?
        "X_Real_IP": "1.2.3.4",
    }
    front.call(**hearsay)
    arrived = {name for name, _ in backend.received[0].headers}
    assert arrived == {
        "host",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "user-agent",
        "x-request-id",
    }


def test_of_the_answer_only_what_is_mcp_comes_back(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        given = {"Set_Cookie": "a=b", "Access_Control_Allow_Origin": "*", "Server": "x", "Mcp_Thing": "1"}
        await wire.result(
            asked, WWW_Authenticate="Bearer", Strict_Transport_Security="max-age=1", X_Secret="s", **given
        )

    _, front = stand(talk)
    response = front.call()
    assert set(response.headers) == {"date", "content-type", "content-length", "mcp-thing"}


def test_connections_are_kept(stand: Stand) -> None:
    backend, front = stand(fine)
    for _ in range(20):
        assert front.call().status_code == 200
    assert backend.connections == 1


def test_events_come_as_they_are_sent(stand: Stand) -> None:
    """The next is sent only when this one has arrived, so none may wait for another."""
    arrived = threading.Semaphore(0)

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.stream()
        for number in range(5):
            await wire.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": number}})
            while not arrived.acquire(blocking=False):
                await sleep_a_little()
        await wire.event(answer(asked, {}))
        await wire.end()

    _, front = stand(talk)
    with front.streamed() as response:
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["x-accel-buffering"] == "no"
        seen = []
        for line in response.iter_lines():
            if line.startswith("data:"):
                seen.append(json.loads(line[5:]))
                arrived.release()
    assert [one["params"]["progress"] for one in seen[:5]] == [0, 1, 2, 3, 4]
    assert seen[5]["id"] == 7


async def sleep_a_little() -> None:
    await asyncio.sleep(0.001)


def test_a_caller_who_leaves_ends_the_call(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "method": "notifications/message"})
        await silence()

    backend, front = stand(talk)
    with front.streamed() as response:
        next(response.iter_lines())
    assert backend.gone.wait(5)


def test_a_caller_who_leaves_before_anything_came_ends_it_too(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await silence()

    backend, front = stand(talk)
    with pytest.raises(httpx2.ReadTimeout):
        front.http.post(
            front.url,
            json={"jsonrpc": "2.0", "id": 1, "method": "x"},
            headers={"Authorization": "Bearer a"},
            timeout=0.5,
        )
    assert backend.gone.wait(5)


def test_a_reader_who_is_slow_slows_the_backend(stand: Stand) -> None:
    """Nothing piles up here: the backend can write no more than the sockets between us hold."""
    chunk = b"data: " + b"x" * 65_000 + b"\n\n"
    written = 0
    full = threading.Event()

    async def talk(asked: Received, wire: Wire) -> None:
        nonlocal written
        await wire.stream()
        for _ in range(2000):
            wire.writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            try:
                await asyncio.wait_for(wire.writer.drain(), 1)
            except TimeoutError:
                full.set()
                await wire.writer.drain()
            written += len(chunk)
        await wire.end()

    _, front = stand(talk)
    with front.streamed() as response:
        assert full.wait(30)
        assert written < 40_000_000
        got = sum(len(part) for part in response.iter_raw())
    assert got == 2000 * len(chunk)


def test_a_get_stream_and_its_resumption(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        if asked.method == "POST":
            await wire.result(asked, Mcp_Session_Id="backend-session")
            return
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "method": "notifications/message"}, "e-2")
        await wire.end()

    backend, front = stand(talk)
    session = front.call("initialize").headers["mcp-session-id"]
    with front.streamed("GET", Mcp_Session_Id=session, Last_Event_ID="e-1") as response:
        assert "id: e-2" in response.read().decode()
    asked = backend.received[-1]
    assert (asked.method, asked.header("last-event-id"), asked.header("mcp-session-id")) == (
        "GET",
        "e-1",
        "backend-session",
    )


def test_sessions_are_their_callers_own(stand: Stand) -> None:
    """MCP "Session Hijacking": the id of one is nothing in the hands of another, of another app, or changed."""

    async def talk(asked: Received, wire: Wire) -> None:
        if asked.method == "DELETE":
            await wire.reply(200)
        else:
            await wire.result(asked, Mcp_Session_Id="backend-session")

    backend, front = stand(talk)
    session = front.call("initialize").headers["mcp-session-id"]
    assert "backend-session" not in session
    assert session.isascii()
    assert session.isprintable()
    mine = front.call(Mcp_Session_Id=session)
    assert mine.status_code == 200
    assert mine.headers["mcp-session-id"] == session  # said again, it is the same
    so_far = len(backend.received)
    for who, app, shown in (
        ("bob", "quill", session),
        ("ada", "other", session),
        ("ada", "quill", session[:-2] + "AA"),
        ("ada", "quill", "backend-session"),
        ("ada", "quill", "x" * 4000),
    ):
        for method in ("POST", "GET", "DELETE"):
            headers = {"Mcp_Session_Id": shown, "X_App": app}
            response = front.call(who=who, **headers) if method == "POST" else front.request(method, who, **headers)
            assert response.status_code == 404
            assert response.json()["error"]["code"] == -32001
            assert response.json()["id"] == (7 if method == "POST" else None)
    assert len(backend.received) == so_far
    assert front.request("DELETE", Mcp_Session_Id=session).status_code == 200
    assert backend.received[-1].header("mcp-session-id") == "backend-session"


def test_a_session_that_the_backend_has_forgotten_is_404(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        if asked.header("mcp-session-id"):
            await wire.reply(404, b"<p>who?", "text/html")
        else:
            await wire.result(asked, Mcp_Session_Id="s")

    _, front = stand(talk)
    session = front.call("initialize").headers["mcp-session-id"]
    response = front.call(Mcp_Session_Id=session)
    assert (response.status_code, response.json()["error"]["code"]) == (404, -32001)


def test_notifications_are_accepted(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.reply(202)

    _, front = stand(talk)
    response = front.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (response.status_code, response.content) == (202, b"")


def test_no_stream_is_offered(stand: Stand) -> None:
    async def talk(asked: Received, wire: Wire) -> None:
        await wire.reply(405, b"Method Not Allowed", "text/plain", Allow="POST")

    _, front = stand(talk)
    for method in ("GET", "DELETE"):
        response = front.request(method)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_the_newer_era_with_its_own_errors(stand: Stand) -> None:
    """2026-07-28: an unknown method is 404 with -32601, a wrong version 400; both are the backend's to say."""
    body = b'{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}'

    async def talk(asked: Received, wire: Wire) -> None:
        await wire.reply(404, body)

    backend, front = stand(talk)
    response = front.call(
        "x/y", MCP_Protocol_Version="2026-07-28", Mcp_Method="x/y", Mcp_Name="n", Mcp_Param_Region="eu"
    )
    assert (response.status_code, response.content) == (404, body)
    asked = backend.received[0]
    assert [asked.header(f"mcp-{name}") for name in ("method", "name", "param-region")] == ["x/y", "n", "eu"]


def test_first_bytes_are_not_late(stand: Stand) -> None:
    sent_at = 0.0

    async def talk(asked: Received, wire: Wire) -> None:
        nonlocal sent_at
        await wire.stream()
        await sleep_a_little()
        sent_at = time.perf_counter()
        await wire.event(answer(asked, {}))
        await wire.end()

    _, front = stand(talk)
    late = []
    for _ in range(20):
        with front.streamed() as response:
            next(response.iter_lines())
            late.append(time.perf_counter() - sent_at)
    assert sorted(late)[10] < 0.005
