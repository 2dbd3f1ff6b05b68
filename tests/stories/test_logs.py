"""The log: structured, with the request's id, one line whatever the input, and none of the secrets that went through."""

from __future__ import annotations

import json
import logging
import re
from urllib.parse import quote

import pytest
import structlog

from app.operate import logs
from tests.actors import App, Browser, http
from tests.conftest import House


def test_no_secret_reaches_the_log(house: House, dsn: str, capfd: pytest.CaptureFixture[str]) -> None:
    house.add_user()
    loud = House(dsn, log_level="debug").start()
    app, browser = App(loud.url), Browser(loud.url)
    try:
        app.register(token_endpoint_auth_method="client_secret_post", client_name='evil\r\n{"level":"x"}')
        code = app.code(browser, state="state-canary")
        tokens = app.redeem(code).json()
        app.refresh(tokens["refresh_token"])
        app.call("whoami", tokens["access_token"])
        app.refresh("gh_rt_canary")
        refused = app.call("whoami", "bearer-canary")
        key = browser.http.post(f"{loud.url}/api-keys", json={"name": "x"}).json()["apiKey"]
        app.http.post(f"{loud.url}/auth/token", json={"apiKey": key})
        browser.open(f"/nothing?token={key}&code={code}")
    finally:
        loud.stop()
        logs.configure("error")
    written = capfd.readouterr().err
    lines = [json.loads(line) for line in written.splitlines()]
    assert {"method", "path", "status", "ms", "request_id", "level", "timestamp", "event"} <= set(
        next(line for line in lines if "path" in line)
    )
    assert [line for line in lines if line.get("request_id") == refused.headers["x-request-id"]]
    canaries = [code, tokens["access_token"], tokens["refresh_token"], str(app.client_secret), app.code_verifier, key]
    canaries += ["state-canary", "gh_rt_canary", "bearer-canary", "four words", *browser.http.cookies.values()]
    assert not [canary for canary in canaries if canary in written]


def test_an_unexpected_fault_is_500_with_an_id_and_a_trace_in_the_log_only(
    house: House, browser: Browser, capfd: pytest.CaptureFixture[str]
) -> None:
    house.sql("ALTER TABLE users RENAME TO users_hidden")
    try:
        page = browser.open("/")
        answer = browser.http.get(f"{house.url}/api-keys", headers={"Authorization": "Bearer gh_key_" + "x" * 43})
    finally:
        house.sql("ALTER TABLE users_hidden RENAME TO users")
    assert page.status == answer.status_code == 500
    assert answer.json()["error"] == "server_error"
    assert page.headers["x-request-id"] in page.text
    for text in (page.text, answer.text):
        assert "users" not in text
        assert "Traceback" not in text
    written = capfd.readouterr().err
    assert page.headers["x-request-id"] in written
    assert "UndefinedTable" in written


HOSTILE = "/\x1b]0;owned\x07\x1b[2J\x9b31m/a\u202eb\u2028c\U000e0041"


def test_a_path_is_logged_in_signs_that_can_be_seen(dsn: str, capfd: pytest.CaptureFixture[str]) -> None:
    loud = House(dsn, log_level="info").start()
    try:
        http().get(loud.url + quote(HOSTILE))
    finally:
        loud.stop()
        logs.configure("error")
    lines = capfd.readouterr().err.split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    assert HOSTILE in [json.loads(line).get("path") for line in lines if line], "for machines it is as it was"


@pytest.mark.parametrize("pretty", [False, True])
def test_what_strangers_choose_moves_no_cursor(pretty: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """What we say, what a library says, what a fault says: a terminal shows it, and obeys none of it."""
    logs.configure("info", pretty=pretty)
    try:
        structlog.get_logger("gatehouse").info("request", path=HOSTILE, seen=[HOSTILE], why={HOSTILE: HOSTILE})
        logging.getLogger("library").warning("what came\n%s", HOSTILE)
        try:
            raise RuntimeError(HOSTILE)
        except RuntimeError:
            structlog.get_logger("gatehouse").exception("a fault")
    finally:
        logs.configure("error")
    written = capfd.readouterr().err.split("\n")
    shown = [re.sub(r"\x1b\[[0-9;]*m", "", line) if pretty else line for line in written]
    assert sum("owned" in line for line in shown) >= 3
    assert [line for line in shown if not line.isprintable()] == []


@pytest.mark.parametrize("pretty", [False, True])
def test_a_trace_has_no_values(pretty: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """The variables of the frames are what the tools were given: they stay out of the log, for machines and for people."""

    def tool(text: str) -> None:
        raise RuntimeError("the tool broke")

    logs.configure("error", pretty=pretty)
    try:
        tool("canary-argument")
    except RuntimeError:
        logging.getLogger("mcp").exception("a library says so")
        structlog.get_logger("gatehouse").exception("we say so")
    finally:
        logs.configure("error")
    written = capfd.readouterr().err
    assert written.count("the tool broke") >= 2
    assert "test_logs.py" in written
    assert "canary-argument" not in written.replace('tool("canary-argument")', "")
