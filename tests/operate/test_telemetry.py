"""Ids that lead from log to trace and on to backends (W3C Trace Context); spans by OpenTelemetry where that is installed."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.operate import logs
from bench.servers import free_port
from tests.actors import App, Browser, http
from tests.backends import Backend, Received, Wire
from tests.conftest import House
from tests.operate.replicas import TOOLS, Replica, wait_until
from tests.remote_house import in_front_of
from tests.stories.test_starting import Start, start

__all__ = ["start"]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
HAS_OTEL = importlib.util.find_spec("opentelemetry.sdk") is not None


async def fine(asked: Received, wire: Wire) -> None:
    await wire.result(asked)


GIVEN_AND_TAKEN = {
    GIVEN["traceparent"]: True,
    "": False,
    f"00-{'0' * 32}-{PARENT}-01": False,
    f"01-{TRACE}-{PARENT}-01": False,
    f"00-{TRACE.upper()}-{PARENT}-01": False,
    "00-x": False,
}


def test_a_backend_learns_which_trace_it_is_in(dsn: str) -> None:
    """The caller's if that is well-formed, else a new one; the parent is our request, by the id that the log has."""
    backend = Backend(fine)
    try:
        with in_front_of(dsn, backend.url) as front:
            front.add_user()
            app = App(front.url)
            app.register()
            token = app.connect(Browser(front.url))["access_token"]
            for given, is_taken in GIVEN_AND_TAKEN.items():
                answer = app.call("anything", token, {"traceparent": given} if given else {})
                heard = backend.received[-1].header("traceparent") or ""
                found = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])", heard)
                assert found, heard
                assert (found[1] == TRACE) is is_taken
                assert found[3] == ("01" if is_taken else "00")
                assert found[2] == answer.headers["x-request-id"]
    finally:
        backend.close()


def test_log_lines_have_both_ids(house: House, dsn: str, capfd: pytest.CaptureFixture[str]) -> None:
    loud = House(dsn, log_level="info").start()
    try:
        answer = http().get(f"{loud.url}/authorize?client_id=nobody", headers=GIVEN)
    finally:
        loud.stop()
        logs.configure("error")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == answer.headers["x-request-id"] and "path" in line]
    assert line["trace_id"] == TRACE


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

                body = self.rfile.read(int(self.headers["content-length"]))
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Any]:
        return [span for span in list(self.spans) if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.mark.skipif(not HAS_OTEL, reason="the packages of gatehouse-mcp[otel] are not installed")
def test_spans_of_requests_and_statements(start: Start, house: House, tmp_path: Path, collector: Collector) -> None:
    house.add_user()
    (tmp_path / "gatehouse.toml").write_text(TOOLS)
    port = free_port()
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    more |= {"GATEHOUSE_OTEL": "true", "GATEHOUSE_DRAIN_NOTICE": "0"}
    replica = Replica(start, house, port, f"http://localhost:{port}", tmp_path / "gatehouse.toml", **more)
    replica.until_ready()
    url = f"http://localhost:{port}"
    app, browser = App(url), Browser(url)
    app.register()
    tokens = app.connect(browser)
    answer = app.call("whoami", tokens["access_token"], GIVEN)
    wait_until(lambda: bool(collector.named("POST /mcp")), 30)
    (call,) = collector.named("POST /mcp")
    assert call.trace_id.hex() == TRACE
    assert call.parent_span_id.hex() == PARENT
    assert call.span_id.hex() == answer.headers["x-request-id"]
    (redeemed,) = collector.named("POST /token")
    statements = [span for span in collector.spans if span.parent_span_id == redeemed.span_id]
    assert {span.name for span in statements} >= {"WITH"}
    texts = json.dumps([str(span) for span in collector.spans])
    assert "INSERT INTO connections" in texts
    (page,) = collector.named("POST /login")
    cool = [span for span in collector.spans if span.parent_span_id == page.span_id]
    assert len(cool) >= 2, "statements of both ways to the database"
    for secret in (tokens["access_token"], tokens["refresh_token"], app.code_verifier, "four words", "ada@example.com"):
        assert secret not in texts
    assert not collector.named("GET /readyz")
    assert replica.process.end() == 0


@pytest.mark.skipif(HAS_OTEL, reason="the packages of gatehouse-mcp[otel] are installed")
def test_without_the_packages_it_says_so(start: Start) -> None:
    code, said = start(
        "serve",
        GATEHOUSE_DATABASE_URL="postgresql://x@y/z",
        GATEHOUSE_PUBLIC_URL="https://mcp.example",
        GATEHOUSE_SECRET_KEY="s" * 40,
        GATEHOUSE_OTEL="true",
    ).sentence()
    assert code == 2
    assert "gatehouse-mcp[otel]" in said
