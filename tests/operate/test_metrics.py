"""What an operator may ask a running server: numbers of all its processes, for the token alone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.measures import CATALOG, SILENT_SECONDS, Measures, exposition
from bench.servers import free_port
from tests.actors import App, Browser, http
from tests.conftest import House, emptied
from tests.operate.replicas import TOOLS, Replica, wait_until
from tests.stories.test_starting import Start, start

__all__ = ["start"]
TOKEN = "a token for whoever scrapes"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
LINE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (-?[0-9.e+-]+)")


@pytest.fixture(scope="module")
def measuring(dsn: str) -> Iterator[House]:
    house = House(dsn, metrics_token=SecretStr(TOKEN)).start()
    yield house
    house.stop()


@pytest.fixture
def measured(measuring: House) -> House:
    return emptied(measuring)


def numbers(url: str) -> dict[str, float]:
    """By name and labels, as they are written."""
    answer = http().get(f"{url}/metrics", headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            parts = LINE.fullmatch(line)
            assert parts, line
            found[line.rpartition(" ")[0]] = float(parts[3])
    return found


def test_strangers_see_nothing(house: House, measured: House) -> None:
    """Without a token in the settings there is nothing at all; with one, nothing without it."""
    nothing = http().get(f"{house.url}/metrics", headers=OPERATOR)
    made_up = http().get(f"{house.url}/no-such-page", headers=OPERATOR)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = http().get(f"{measured.url}/metrics", headers=headers)
        assert refused.status_code == 404
        assert "gatehouse_" not in refused.text
    assert (nothing.status_code, nothing.json()["error"]) == (made_up.status_code, made_up.json()["error"])
    assert numbers(measured.url)


def test_the_questions_of_an_operator_are_answered(measured: House) -> None:
    """By route, grant, refusal, backend, pool, verification cache, revocation lag, sweep, process."""
    before = numbers(measured.url)
    measured.add_user()
    app, browser = App(measured.url), Browser(measured.url)
    app.register()
    tokens = app.connect(browser)
    tokens = app.refresh(tokens["refresh_token"]).json()
    for _ in range(3):
        app.call("whoami", tokens["access_token"])
    app.call("whoami", "wrong")
    app.redeem("gh_code_wrong")
    http().get(f"{measured.url}/api-keys/{'x' * 20}")
    for word in ("one", "two"):
        http().get(f"{measured.url}/made/up/{word}")
    app.http.post(f"{measured.url}/revoke", data={"token": tokens["refresh_token"], "client_id": app.client_id})
    measured.catch_up()
    after = numbers(measured.url)

    def more(line: str) -> float:
        return after.get(line, 0) - before.get(line, 0)

    assert more('gatehouse_requests_total{route="/token",status="200"}') == 2
    assert more('gatehouse_requests_total{route="/token",status="400"}') == 1
    assert more('gatehouse_requests_total{route="/mcp",status="200"}') == 3
    assert more('gatehouse_requests_total{route="other",status="404"}') == 2, "made-up addresses are one"
    assert more('gatehouse_request_seconds_count{route="/token"}') == 3
    assert more('gatehouse_tokens_total{grant="authorization_code"}') == 1
    assert more('gatehouse_tokens_total{grant="refresh_token"}') == 1
    assert more('gatehouse_refusals_total{route="/token",error="invalid_grant"}') == 1
    assert more('gatehouse_refusals_total{route="/mcp",error="invalid_token"}') == 1
    (backend,) = [line for line in after if line.startswith("gatehouse_backend_seconds_count")]
    assert more(backend) == 3
    assert more('gatehouse_verifications_total{how="checked"}') == 1
    assert more('gatehouse_verifications_total{how="remembered"}') == 2
    assert more("gatehouse_revocation_lag_seconds_count") >= 1
    assert after['gatehouse_pool_size{pool="hot"}'] == measured.settings.pool_size
    assert after["gatehouse_workers"] == 1
    assert after["gatehouse_database_silence_seconds"] < 30
    assert after["gatehouse_resident_bytes"] > 1e7
    names = {line.split("{")[0] for line in after}
    shown = {name for name in CATALOG if name in names or f"{name}_count" in names}
    assert set(CATALOG) - shown <= {"gatehouse_swept_total", "gatehouse_sweeps_total"}, "these come after a minute"


def test_the_sweep_is_counted(measured: House) -> None:
    from app.operate.sweep import swept

    measured.wait_for(swept(measured.world))
    measured.turn_clock(days=400)
    measured.add_user()
    App(measured.url).register()
    measured.turn_clock(days=400)
    measured.wait_for(swept(measured.world))
    after = numbers(measured.url)
    assert after['gatehouse_sweeps_total{how="done"}'] >= 2
    assert after['gatehouse_swept_total{table="clients"}'] >= 1


def test_several_processes_add_up(start: Start, house: House, tmp_path: Path) -> None:
    """Whichever of them answers; and what one counted that has died is not forgotten."""
    (tmp_path / "gatehouse.toml").write_text(TOOLS)
    port = free_port()
    more = {"GATEHOUSE_DRAIN_NOTICE": "0", "GATEHOUSE_METRICS_TOKEN": TOKEN}
    replica = Replica(
        start, house, port, f"http://localhost:{port}", tmp_path / "gatehouse.toml", "--workers", "2", **more
    )
    replica.until_ready()
    wait_until(lambda: numbers(replica.own)["gatehouse_workers"] == 2, 30)
    line = 'gatehouse_requests_total{route="/.well-known/jwks.json",status="200"}'
    for _ in range(40):  # each on a connection of its own
        http().get(f"{replica.own}/.well-known/jwks.json")
    wait_until(lambda: numbers(replica.own).get(line) == 40, 30)
    for _ in range(10):
        assert numbers(replica.own)[line] == 40
    assert replica.process.end() == 0


def test_what_a_dead_process_counted_stays_and_what_it_held_does_not() -> None:
    alive, dead = Measures(), Measures()
    for one in (alive, dead):
        one.count("gatehouse_tokens_total", "refresh_token")
        one.time(0.3, "gatehouse_request_seconds", "/mcp")
        one.levels[("gatehouse_workers",)] = 1
        one.levels[("gatehouse_loop_delay_seconds",)] = 0.25
    gone = dead.snapshot() | {"at": time.time() - SILENT_SECONDS - 1}
    text = exposition([alive.snapshot(), gone])
    assert 'gatehouse_tokens_total{grant="refresh_token"} 2\n' in text
    assert "gatehouse_workers 1\n" in text
    assert 'gatehouse_request_seconds_bucket{route="/mcp",le="0.25"} 0\n' in text
    assert 'gatehouse_request_seconds_bucket{route="/mcp",le="0.5"} 2\n' in text
    assert 'gatehouse_request_seconds_bucket{route="/mcp",le="+Inf"} 2\n' in text
    assert 'gatehouse_request_seconds_sum{route="/mcp"} 0.6\n' in text
    assert "gatehouse_workers 2\n" in exposition([alive.snapshot(), dead.snapshot()])
    assert "gatehouse_loop_delay_seconds 0.25\n" in exposition([alive.snapshot(), dead.snapshot()])


def test_counting_costs_little() -> None:
    """A call at /mcp counts a request, a caller and two times: a few microseconds at the very most."""
    measures, rounds = Measures(), 20_000
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(rounds):
            measures.counts["gatehouse_requests_total", "/mcp", 200] += 1
            measures.counts["gatehouse_verifications_total", "remembered"] += 1
            measures.time(0.004, "gatehouse_request_seconds", "/mcp")
            measures.time(0.003, "gatehouse_backend_seconds", "tools")
        best = min(best, time.perf_counter() - began)
    assert best / rounds < 5e-6
