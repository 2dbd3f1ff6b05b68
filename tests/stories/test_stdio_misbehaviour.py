"""Stdio servers that die, hang, or talk nonsense: their caller is told clearly and in time, and the others notice nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import House
from tests.stdio_house import Caller, script, speaking

LIMIT = 3.0  # seconds, for one request
SCRIPT = """
def call(asked, name, **how):
    if name == "hang": return
    if name == "busy": time.sleep(3600)
    if name == "die": os._exit(3)
    if name == "killed": os.kill(os.getpid(), signal.SIGKILL)
    if name == "say":
        sys.stdout.buffer.write(how["words"].replace("ID", str(asked["id"])).encode(how.get("in", "utf-8"))); sys.stdout.buffer.flush()
    if name == "long":
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"content": "x" * how["size"]}}
        if how["id"] == "last": answer = {"result": answer["result"], "jsonrpc": "2.0", "id": asked["id"]}
        sys.stdout.write(json.dumps(answer) + "\\n"); sys.stdout.flush()
    if name == "flood":
        to = {"stderr": sys.stderr, "stdout": sys.stdout}[how["to"]]
        def flood():
            while True: to.write(how["line"] * 500); to.flush()
        text(asked, os.getpid())
        threading.Thread(target=flood, daemon=True).start()
    if name == "closed": os.close(1)
    if name == "half": sys.stdout.write('{"jsonrpc": "2.0", "id"'); sys.stdout.flush(); os._exit(0)
    if name == "pid": text(asked, os.getpid())
"""


@pytest.fixture
def shared(dsn: str, tmp_path: Path) -> Iterator[House]:
    with speaking(dsn, script(tmp_path, SCRIPT), timeout=LIMIT) as house:
        yield house


@pytest.fixture
def ada(shared: House) -> Caller:
    return Caller(shared)


def refused(caller: Caller, tool: str, **how: Any) -> tuple[int, int, str]:
    """Status, code and words of what came instead of an answer; in time."""
    before = time.monotonic()
    response = caller.call(tool, 7, **how)
    assert time.monotonic() - before < LIMIT + 2
    body = response.json()
    assert body["id"] == 7
    assert body["error"]["data"]["request_id"] == response.headers["x-request-id"]
    return response.status_code, body["error"]["code"], body["error"]["message"]


@pytest.mark.parametrize(
    ("tool", "how"),
    [
        ("die", "ended with exit status 3"),
        ("killed", "was ended by signal 9"),
        ("half", "ended with exit status 0"),
        ("closed", "closed its output"),
    ],
)
def test_a_server_that_ends_in_a_call_is_started_again(ada: Caller, tool: str, how: str) -> None:
    """The caller is told at once; the next finds another process."""
    before = ada.said("pid")
    status, code, words = refused(ada, tool)
    assert (status, code) == (502, -32000)
    assert words == f"the server behind this address {how} before it had answered"
    assert ada.said("pid") != before


def test_callers_during_restarts_wait_rather_than_fail(shared: House, ada: Caller) -> None:
    """One caller kills it again and again; what others ask meanwhile is answered, a little later."""
    bob = Caller(shared, "bob@example.com")
    for _ in range(3):
        refused(ada, "die")
        assert bob.said("pid")


def test_a_request_that_is_not_answered_ends_at_its_time(shared: House, ada: Caller) -> None:
    """504; the same process goes on serving others, during and after it."""
    bob = Caller(shared, "bob@example.com")
    before = bob.said("pid")
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(refused, ada, "hang")
        while not hanging.done():
            assert bob.said("pid") == before
        assert hanging.result()[:2] == (504, -32000)
        assert "did not answer within 3 seconds" in hanging.result()[2]
    assert ada.said("pid") == before


def test_a_server_that_hangs_altogether_is_replaced(ada: Caller) -> None:
    """It let a request time out, and then does not even answer a ping."""
    before = ada.said("pid")
    assert refused(ada, "busy")[0] == 504
    after = [response for response in (ada.call("pid") for _ in range(4)) if response.status_code == 200]
    assert after, "it was never replaced"
    assert after[0].json()["result"]["content"][0]["text"] != before


@pytest.mark.parametrize(
    "words",
    [
        "Server is running on stdio!\n",
        "\n\n\r\n",
        "{\n",
        "[]\n[[]]\n[1]\nnull\n17\n",
        '{"jsonrpc": "2.0"}\n',
        '{"id": "x", "result": {}}\n{"id": 12345678, "result": {}}\n{"id": null, "result": {}}\n',
        '{"jsonrpc": "2.0", "method": 7}\n{"jsonrpc": "2.0", "method": "notifications/progress", "params": [1]}\n',
        '{"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": [1]}}\n',
        "[" * 100_000 + "\n",
        "\x00\x01\x1b[2J\n",
    ],
)
def test_lines_that_are_no_messages_are_left_out(ada: Caller, words: str) -> None:
    """The specification forbids them, and half the servers print them: logged, and on it goes."""
    assert ada.said("pid")
    proper = '{"jsonrpc": "2.0", "id": ID, "result": {"fine": true}}\n'
    assert ada.call("say", words=words + proper).json()["result"] == {"fine": True}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ('{"jsonrpc": "2.0", "id": ID, "result": {"x": nonsense}}', "an answer that is not valid JSON"),
        ('{"result": {"x": nonsense}, "jsonrpc": "2.0", "id": ID}', "an answer that is not valid JSON"),
        ('{"jsonrpc": "2.0", "id": ID, "result": {"x": "\xff"}}', "an answer that is not valid JSON"),
        ('{"jsonrpc": "2.0", "id": ID, "result": {"x": NaN}}', "an answer that is not valid JSON"),
        ('{"jsonrpc": "2.0", "id": ID, "result": 5}', "an answer that is neither a result nor an error"),
        ('{"jsonrpc": "2.0", "id": ID, "error": "no"}', "an answer that is neither a result nor an error"),
        ('{"jsonrpc": "2.0", "id": ID}', "an answer that is neither a result nor an error"),
        ('{"jsonrpc": "2.0", "id": ID, "result": {}, "error": {"code": 1, "message": "x"}}', "neither a result nor"),
    ],
)
def test_an_answer_that_is_none_is_told_at_once(ada: Caller, words: str, what: str) -> None:
    assert ada.said("pid")
    before = time.monotonic()
    status, code, said = refused(ada, "say", words=words + "\n", **{"in": "latin-1"})
    assert (status, code) == (502, -32000)
    assert what in said
    assert time.monotonic() - before < LIMIT - 1


@pytest.mark.parametrize("place", ["first", "last"])
def test_an_answer_of_50_megabytes_is_refused_and_not_kept(shared: House, ada: Caller, place: str) -> None:
    """Wherever the server writes the id; others are served by the same process before and after."""
    bob = Caller(shared, "bob@example.com")
    before = bob.said("pid")
    size = 50 * 1024 * 1024
    status, code, words = refused(ada, "long", size=size, id=place)
    assert (status, code) == (502, -32000)
    assert "larger than may be passed on" in words
    assert bob.said("pid") == before
    assert ada.call("long", size=1024 * 1024, id=place).status_code == 200


@pytest.mark.parametrize(
    "line", ["x" * 200 + "\n", "\n", '{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}\n']
)
@pytest.mark.parametrize("to", ["stderr", "stdout"])
def test_a_flood_costs_us_little(shared: House, ada: Caller, to: str, line: str) -> None:
    """Whoever talks too much is not listened to for a while, so that it waits and we do not: of two seconds, the server's
    thread spends not even one."""
    assert ada.said("flood", to=to, line=line)

    async def used() -> float:
        before = time.thread_time()
        await asyncio.sleep(2)
        return time.thread_time() - before

    assert shared.wait_for(used()) < 0.7  # type: ignore[operator]
