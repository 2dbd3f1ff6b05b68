"""The processes of a stdio server: started on demand, one for all or one a user, not too many, and none left behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.operate import logs
from bench.servers import free_port
from tests.stdio_house import Caller, script, speaking
from tests.stories.test_starting import Start, start

__all__ = ["start"]

SCRIPT = """
waiting = []
def call(asked, name, **how):
    if name == "pid": text(asked, os.getpid())
    if name == "env": text(asked, json.dumps(dict(os.environ)))
    if name == "wait": waiting.append(asked)
    if name == "waits": text(asked, len(waiting))
    if name == "release":
        while waiting: text(waiting.pop(), os.getpid())
        text(asked, "released")
    if name == "log":
        note(method="notifications/message", params={"level": "info", "data": how["words"]})
        text(asked, "logged")
    if name == "die": os._exit(3)
    if name == "err": sys.stderr.write(how["words"]); sys.stderr.flush(); text(asked, "said")
"""
STUBBORN = """
import subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"])
def call(asked, name, **how):
    if name == "die": os._exit(3)
    text(asked, json.dumps([os.getpid(), child.pid]))
serve_once, serve = serve, lambda: (serve_once(), time.sleep(3600))
"""


def is_there(pid: int) -> bool:
    """As a process or as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Watched:
    """A process that is there, whose end can be waited for."""

    def __init__(self, pid: int | str) -> None:
        self.pid = int(pid)
        self._watch = os.pidfd_open(self.pid)

    def ends(self, within: float = 10) -> bool:
        return bool(select.select([self._watch], [], [], within)[0])


@pytest.fixture
def command(tmp_path: Path) -> tuple[str, ...]:
    return script(tmp_path, SCRIPT)


def test_the_environment_is_what_is_needed_and_what_is_configured(dsn: str, command: tuple[str, ...]) -> None:
    """Nothing of ours: no GATEHOUSE_ setting, no secret."""
    os.environ["GATEHOUSE_CANARY"] = os.environ["CANARY"] = "ours"
    try:
        with speaking(dsn, command, env={"TOKEN": "theirs"}) as house:
            found = json.loads(Caller(house).said("env"))
    finally:
        del os.environ["GATEHOUSE_CANARY"], os.environ["CANARY"]
    assert found.pop("TOKEN") == "theirs"
    assert found.pop("PATH") == os.environ["PATH"]
    assert set(found) <= {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ"}


def test_one_process_for_all(dsn: str, command: tuple[str, ...]) -> None:
    with speaking(dsn, command) as house:
        pids = {Caller(house, f"{name}@example.com").said("pid") for name in ("ada", "bob")}
        assert len(pids) == 1


def test_one_process_for_each_user(dsn: str, command: tuple[str, ...]) -> None:
    """Which knows whose it is; its log is that user's."""
    with speaking(dsn, command, per_user=True) as house:
        ada, bob = Caller(house), Caller(house, "bob@example.com")
        assert ada.said("pid") != bob.said("pid")
        assert ada.said("pid") == ada.said("pid")
        (owner,) = house.sql("SELECT id FROM users WHERE email = 'bob@example.com'")[0]
        assert json.loads(bob.said("env"))["GATEHOUSE_USER"] == owner
        assert "logging" in ada.ask("initialize", protocolVersion="2025-11-25").json()["result"]["capabilities"]
        first = next(line for line in ada.call("log", words="for Ada").text.splitlines() if line.startswith("data: "))
        assert json.loads(first[6:])["params"] == {"level": "info", "data": "for Ada"}


def test_there_are_never_more_than_may_be(dsn: str, command: tuple[str, ...]) -> None:
    """The one idle longest makes room; when all are in use, the newcomer is told to come again."""
    with speaking(dsn, command, per_user=True, most=2, timeout=20) as house, ThreadPoolExecutor() as pool:
        ada, bob, eve = (Caller(house, f"{name}@example.com") for name in ("ada", "bob", "eve"))
        adas, bobs = Watched(ada.said("pid")), Watched(bob.said("pid"))
        house.turn_clock(seconds=1)
        ada.said("pid")
        eves = Watched(eve.said("pid"))
        assert bobs.ends()
        assert not adas.ends(0)
        waiting = [pool.submit(who.call, "wait") for who in (ada, eve)]
        for who in (ada, eve):
            while who.said("waits") != "1":
                pass
        full = bob.call("pid")
        assert full.status_code == 503
        assert full.json()["error"]["message"].endswith("is in use by as many people as it can serve at once")
        assert int(full.headers["retry-after"]) > 0
        for who in (ada, eve):
            who.call("release")
        assert {future.result().status_code for future in waiting} == {200}
        assert not eves.ends(0)
        assert bob.call("pid").status_code == 200


def test_an_idle_process_ends_and_a_busy_one_does_not(dsn: str, command: tuple[str, ...]) -> None:
    with speaking(dsn, command, idle=600, timeout=20) as house, ThreadPoolExecutor() as pool:
        ada = Caller(house)
        first = Watched(ada.said("pid"))
        house.turn_clock(seconds=500)
        assert ada.said("pid") == str(first.pid)
        waiting = pool.submit(ada.call, "wait")
        while ada.said("waits") != "1":
            pass
        house.turn_clock(seconds=500)
        assert not first.ends(0)
        ada.call("release")
        assert waiting.result().status_code == 200
        house.turn_clock(seconds=601)
        assert first.ends()
        assert ada.said("pid") != str(first.pid)


def test_a_server_that_ends_at_once_is_not_started_all_the_time(dsn: str, tmp_path: Path) -> None:
    """502 and why; then 503 with Retry-After, without another start, until its time has come, which grows."""
    counted = tmp_path / "starts"
    source = f"open({str(counted)!r}, 'a').write('x'); sys.exit(7)"
    with speaking(dsn, script(tmp_path, source)) as house:
        ada = Caller(house)
        for starts, wait in ((1, 1), (2, 2), (3, 4)):
            refused = ada.call()
            assert refused.status_code == 502
            words = "the server behind this address ended with exit status 7 before it had answered"
            assert refused.json()["error"]["message"] == words
            later = ada.call()
            assert (later.status_code, later.json()["error"]["code"]) == (503, -32000)
            assert "ended with exit status 7" in later.json()["error"]["message"]
            assert wait <= int(later.headers["retry-after"]) <= wait + 1
            assert len(counted.read_text()) == starts
            house.turn_clock(seconds=wait)


@pytest.mark.parametrize(
    "command", [("/no/such/program",), (os.devnull,), (str(Path(__file__).parent),), ("x\0y",)], ids=repr
)
def test_a_program_that_is_none(dsn: str, command: tuple[str, ...]) -> None:
    with speaking(dsn, command) as house:
        response = Caller(house).call()
        assert response.status_code == 502
        assert "cannot be started" in response.json()["error"]["message"]
        assert "no/such" not in response.text


def test_a_server_that_never_gets_ready(dsn: str, tmp_path: Path) -> None:
    """The caller waits no longer than for anything else."""
    with speaking(dsn, script(tmp_path, "serve = lambda: time.sleep(3600)"), timeout=1) as house:
        response = Caller(house).call()
        assert (response.status_code, response.json()["error"]["code"]) == (504, -32000)
        assert "is still starting" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "source",
    [
        'VERSION = "1999-01-01"',
        "def result(asked, **value): text_error(asked)\n"
        + 'def text_error(asked): say({"id": asked["id"], "error": {"code": -32601, "message": "no"}})',
    ],
)
def test_a_server_that_speaks_another_protocol(dsn: str, tmp_path: Path, source: str) -> None:
    with speaking(dsn, script(tmp_path, source)) as house:
        response = Caller(house).call()
        assert response.status_code == 502
        assert "of MCP that is" in response.json()["error"]["message"]


def test_a_server_without_a_handshake(dsn: str, tmp_path: Path) -> None:
    """Of 2026-07-28 alone: spoken to in its way, also for callers who know only the handshake."""
    source = """
    def serve():
        for line in sys.stdin:
            asked = json.loads(line)
            meta = (asked.get("params") or {}).get("_meta", {})
            if meta.get("io.modelcontextprotocol/protocolVersion") != "2026-07-28":
                say({"id": asked.get("id"), "error": {"code": -32022, "message": "no"}})
            elif asked["method"] == "server/discover":
                result(asked, resultType="complete", supportedVersions=["2026-07-28"], capabilities={"tools": {"listChanged": True}},
                    _meta={"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "2"}})
            elif asked["method"] == "subscriptions/listen": listening = asked
            elif asked["method"] == "tools/call": text(asked, json.dumps([meta, listening["params"]["notifications"]]))
    """
    with speaking(dsn, script(tmp_path, source)) as house:
        ada = Caller(house)
        begun = ada.ask("initialize", protocolVersion="2025-06-18").json()["result"]
        assert (begun["protocolVersion"], begun["serverInfo"]["name"]) == ("2025-06-18", "new")
        meta, listens = json.loads(ada.said())
        assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "gatehouse"
        assert listens == {"toolsListChanged": True}
        mine = {"io.modelcontextprotocol/clientInfo": {"name": "mine", "version": "1"}}
        called = ada.modern("tools/call", name="go", arguments={}, _meta=mine).json()
        assert '"mine"' in called["result"]["content"][0]["text"]


def test_nobody_is_left_when_we_stop(dsn: str, tmp_path: Path) -> None:
    """Not who ignores the end of its input and SIGTERM, nor a process that it has started; and there is no zombie."""
    with speaking(dsn, script(tmp_path, STUBBORN)) as house:
        server, grandchild = (Watched(pid) for pid in json.loads(Caller(house).said()))
    assert server.ends(0)
    assert grandchild.ends(1)
    assert not is_there(server.pid)


def test_who_crashed_leaves_nobody_behind(dsn: str, tmp_path: Path) -> None:
    with speaking(dsn, script(tmp_path, STUBBORN)) as house:
        ada = Caller(house)
        server, grandchild = (Watched(pid) for pid in json.loads(ada.said()))
        ada.call("die")
        assert grandchild.ends()
        assert json.loads(ada.said())[0] != server.pid
        assert not is_there(server.pid)


def test_listeners_do_not_keep_a_server_from_stopping(
    dsn: str, command: tuple[str, ...], start: Start, tmp_path: Path
) -> None:
    """Their streams end; without that, it would wait 25 seconds for them."""
    with speaking(dsn, command) as house:
        ada = Caller(house)
        assert house.settings.resources_file is not None
        port = free_port()
        serve = start(
            "serve",
            GATEHOUSE_PORT=str(port),
            GATEHOUSE_DATABASE_URL=dsn,
            GATEHOUSE_DRAIN_NOTICE="0",
            GATEHOUSE_PUBLIC_URL=f"http://localhost:{port}",
            GATEHOUSE_SECRET_KEY=house.settings.secret_key[0].get_secret_value(),
            GATEHOUSE_RESOURCES_FILE=str(house.settings.resources_file),
        )
        serve.until('"event":"open"')
        ada.url = f"http://localhost:{port}/mcp"
        child = Watched(ada.said("pid"))
        with ada.http.stream("GET", ada.url, headers={"Accept": "text/event-stream"}) as response:
            lines = response.iter_lines()
            next(lines)
            assert serve.end() == 0  # within 20 seconds
            assert [line.split(":")[0] for line in lines if line] == ["retry"], "a hint when to come again"
        assert child.ends(0)
        assert '"level":"error"' not in serve.said


ALONE = """
import asyncio, json, sys
from datetime import UTC, datetime
from app.operate import logs
from app.gate.backends.stdio.processes import Processes
from app.resources.model import CommandBackend
logs.configure('error')
async def main():
    processes = Processes("x", CommandBackend(tuple(sys.argv[1:])), lambda user: {}, lambda: datetime.now(UTC))
    async with processes.kept():
        conversation = await processes.conversation("")
        call = await conversation.ask({"method": "tools/call", "params": {"name": "go"}}, None, modern=False)
        await call.wait(10)
        print(call.answer["result"]["content"][0]["text"], flush=True)
        await asyncio.sleep(3600)
LOOP
"""


@pytest.mark.parametrize(
    "loop", ["asyncio.run(main())", "import uvloop; uvloop.run(main())"], ids=["asyncio", "uvloop"]
)
def test_nobody_is_left_when_we_are_killed(tmp_path: Path, loop: str) -> None:
    """With a signal that nobody can catch."""
    program = [sys.executable, "-c", ALONE.replace("LOOP", loop), *script(tmp_path, STUBBORN)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as ours:
        assert ours.stdout is not None
        pids = [Watched(pid) for pid in json.loads(ours.stdout.readline())]
        os.kill(ours.pid, signal.SIGKILL)
    assert [watched.ends() for watched in pids] == [True, True]


def test_what_a_server_says_is_in_the_log_but_not_more_than_can_be_read(
    dsn: str, command: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """Its error output: lines of bounded length, without control characters, so many a second, and how many were left out."""
    with speaking(dsn, command, log_level="info") as house:
        ada = Caller(house)
        ada.said("err", words="ready \x1b[31mred\x1b[0m\r\nno end " + "x" * 5000 + "\n")
        ada.said("err", words="line\n" * 150)
        ada.said("err", words="left\n" * 10_000)
    logs.configure("error")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    said = [line for line in lines if line["event"] == "said"]
    assert said[0]["line"] == "ready \N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}[0m"
    assert said[1]["line"].startswith("no end xxx")
    assert len(said[1]["line"]) <= 1000
    assert {line["resource"] for line in said} == {"stdio"}
    assert len(said) < 200
    assert sum(line.get("lines", line.get("left_out", 0)) for line in lines) > 9_000
