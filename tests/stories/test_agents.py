"""Agents without an account: the seed's seven calls, field for field, and each flaw of its stored server (agents.md §1.4)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from datetime import timedelta
from typing import Any

import pytest

from app.agents.start import wanted
from app.tokens.secrets import Secrets
from app.work.challenge import new_challenge
from app.work.pressure import Pressure
from app.work.solve import target
from tests.actors import App, http
from tests.agents import Agent, agent, project
from tests.conftest import House

POW = {"projectId", "projectPublicKey", "challengeHex", "targetHex", "difficultyBits", "expiresAtUnix", "signature"}


def test_work_becomes_a_session_that_pays_for_calls(house: House) -> None:
    """Every field of the seed's answers, and no other."""
    robot = agent(house, allowance_sats=100)
    started = robot.start()
    assert started.keys() == {"quoteId", "powChallenge", "invoice"}
    assert started["invoice"] is None
    challenge = started["powChallenge"]
    assert challenge.keys() == POW
    assert len(challenge["projectPublicKey"]) == 30, "with the challenge, one block of SHA-256"
    assert len(challenge["challengeHex"]) == 32
    assert challenge["targetHex"] == f"{2 ** (256 - challenge['difficultyBits']) - 1:064x}"
    pending = robot.get(f"/api/mcp/status/{started['quoteId']}").json()
    assert pending.keys() == {"quoteId", "status", "paymentStatus", "expiresAt"}
    assert (pending["status"], pending["paymentStatus"]) == ("pending", None)
    assert house.sql("SELECT (SELECT count(*) FROM agent_sessions) + (SELECT count(*) FROM budgets)") == [(0,)]
    confirmed = robot.confirm(robot.solved(started)).json()
    assert confirmed.keys() == {"jwt", "expiresIn", "remainingBudgetSats", "refreshToken"}
    assert (confirmed["expiresIn"], confirmed["remainingBudgetSats"]) == (600, 100)
    assert robot.get(f"/api/mcp/status/{started['quoteId']}").json()["status"] == "confirmed"
    assert robot.charge(15).json() == {"status": "ok", "callsUsed": 1, "satsUsed": 15}
    usage = robot.usage()
    expected = {"status": "active", "callsUsed": 1, "satsUsed": 15, "maxSatsPerDay": 100, "remainingBudgetSats": 85}
    assert usage.items() >= (expected | {"maxCallsPerMinute": 60}).items()
    assert usage.keys() == {*expected, "maxCallsPerMinute", "expiresAt", "dayWindowStart"}
    assert usage["dayWindowStart"].endswith("T00:00:00Z")
    refreshed = robot.refresh().json()
    assert refreshed.keys() == {"jwt", "expiresIn", "remainingBudgetSats"}
    assert refreshed["remainingBudgetSats"] == 85


def test_sats_become_a_session(house: House) -> None:
    robot = agent(house, session_sats=50)
    started = robot.start(forceLightning=True)
    assert started["powChallenge"] is None
    invoice = started["invoice"]
    assert invoice.keys() == {"bolt11", "amountSats", "expiresAtUnix", "paymentHash"}
    assert robot.get(f"/api/mcp/lnurl/{started['quoteId']}").json() == {"pr": invoice["bolt11"], "routes": []}
    unpaid = robot.confirm({"quoteId": started["quoteId"]})
    assert (unpaid.status_code, unpaid.json()["jwt"], unpaid.json()["paymentStatus"]) == (200, None, "pending")
    preimage = robot.pay(invoice["bolt11"])
    assert hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == invoice["paymentHash"]
    house.turn_clock(seconds=2)
    assert robot.get(f"/api/mcp/status/{started['quoteId']}").json()["paymentStatus"] == "paid"
    paid = robot.confirm({"quoteId": started["quoteId"], "paymentHash": invoice["paymentHash"]}).json()
    assert paid.keys() == {"jwt", "expiresIn", "remainingBudgetSats", "paymentStatus", "refreshToken"}
    assert (paid["remainingBudgetSats"], paid["paymentStatus"]) == (50, "paid")


def test_the_token_opens_the_tools(house: House) -> None:
    """And only what the project's agents may do."""
    robot, caller = agent(house), App(house.url)
    robot.work()
    told = json.loads(caller.call("whoami", robot.jwt).json()["result"]["content"][0]["text"])
    assert told["sub"].startswith("mcp:")
    assert (told["via"], told["scopes"]) == ("mcp_pow", ["read"])
    assert caller.call("add_note", robot.jwt, text="x").status_code == 403
    assert robot.http.get(f"{house.url}/api-keys", headers=robot.bearer).status_code == 403
    assert robot.http.get(f"{house.url}/userinfo", headers=robot.bearer).status_code == 403


@pytest.mark.parametrize("invented", ["00" * 32, "ab" * 32, "zz" * 32])
def test_flaw_1_no_preimage_is_taken_on_trust(house: House, invented: str) -> None:
    robot = agent(house)
    started = robot.start(forceLightning=True)
    answer = robot.confirm({"quoteId": started["quoteId"], "preimage": invented})
    assert answer.json()["jwt"] is None
    robot.pay(started["invoice"]["bolt11"])
    house.turn_clock(seconds=2)
    assert robot.confirm({"quoteId": started["quoteId"], "preimage": invented}).status_code == 409


def test_flaw_3_calls_a_minute_are_counted(house: House) -> None:
    robot = agent(house, max_calls_per_minute=3)
    robot.work()
    answers = [robot.charge(1) for _ in range(5)]
    denied = [answer for answer in answers if answer.json()["status"] == "deny"]
    if len(denied) != 2:  # the minute was over in between
        denied = [answer for answer in [robot.charge(1) for _ in range(4)] if answer.json()["status"] == "deny"]
    assert denied[-1].status_code == 200, "the seed's client shows no other denial"
    assert denied[-1].json()["reason"] == "rate_limited"
    assert int(denied[-1].headers["retry-after"]) <= 60
    house.turn_clock(seconds=60)
    assert robot.charge(1).json()["status"] == "ok"


def test_flaw_4_an_idempotency_key_is_its_callers_own(house: House) -> None:
    one, other = agent(house), agent(house)
    one.work()
    other.work()
    first = one.charge(7, idempotencyKey="k", toolName="search")
    again = one.charge(7, idempotencyKey="k", toolName="search")
    assert again.json() == first.json() == {"status": "ok", "callsUsed": 1, "satsUsed": 7}
    assert again.headers["idempotency-replayed"] == "true"
    assert one.charge(8, idempotencyKey="k", toolName="search").status_code == 400
    assert one.usage()["satsUsed"] == 7
    assert "idempotency-replayed" not in other.charge(7, idempotencyKey="k", toolName="search").headers
    assert other.usage()["satsUsed"] == 7


def test_flaw_5_what_was_paid_for_is_spent_once(house: House) -> None:
    """An allowance comes back with the day, a funded balance never does."""
    worker, buyer = agent(house, allowance_sats=20), agent(house, session_sats=20)
    worker.work()
    buyer.buy()
    for robot in (worker, buyer):
        assert robot.charge(20).json()["status"] == "ok"
        assert robot.charge(1).json() == {"status": "deny", "callsUsed": 1, "satsUsed": 20, "reason": "budget_exceeded"}
    house.turn_clock(hours=25)
    buyer.jwt = buyer.refresh().json()["jwt"]
    assert buyer.usage()["remainingBudgetSats"] == 0
    assert buyer.charge(1).json()["reason"] == "budget_exceeded"


def test_the_allowance_comes_back_with_the_day(house: House) -> None:
    robot = agent(house, allowance_sats=20)
    robot.work()
    robot.charge(20)
    house.sql("UPDATE budgets SET day = day - 1")  # it was yesterday
    usage = robot.usage()
    assert (usage["satsUsed"], usage["callsUsed"], usage["remainingBudgetSats"]) == (0, 0, 20)
    assert robot.charge(5).json() == {"status": "ok", "callsUsed": 1, "satsUsed": 5}


def test_flaw_5_and_6_a_refresh_token_goes_on_working_within_the_session(house: House) -> None:
    """The seed's client knows only the first; a token that is out stays good for who holds it."""
    robot = agent(house)
    robot.work()
    first = robot.jwt
    for _ in range(3):
        robot.jwt = robot.refresh().json()["jwt"]
    assert robot.usage()["status"] == "active"
    robot.jwt = first
    assert robot.usage()["status"] == "active", "a parallel agent's token must not die of a refresh"
    assert house.sql("SELECT count(*) FROM agent_sessions WHERE id::text = :token", token=robot.refresh_token) == [(0,)]
    house.turn_clock(hours=24)
    over = robot.refresh()
    assert (over.status_code, over.json()["error"]) == (400, "invalid_grant")


def test_rotation_for_who_asks_for_it(house: House) -> None:
    """And then a token that was rotated away ends the session (RFC 9700 §4.14.2)."""
    robot = agent(house)
    robot.work()
    old, rotated = robot.refresh_token, robot.refresh(rotate=True).json()
    assert rotated["refreshToken"] != old
    assert robot.refresh(rotate=True).json()["refreshToken"] == rotated["refreshToken"], "the answer may have been lost"
    house.turn_clock(seconds=40)
    robot.refresh_token, robot.jwt = rotated["refreshToken"], rotated["jwt"]
    assert robot.refresh().status_code == 200
    robot.refresh_token = old
    assert robot.refresh().status_code == 400
    house.catch_up()
    assert robot.http.get(f"{house.url}/api/mcp/usage", headers=robot.bearer).status_code == 401
    robot.refresh_token = rotated["refreshToken"]
    assert robot.refresh().status_code == 400
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'agent_session.reused'") == [(1,)]


def test_flaw_7_one_solution_is_one_session(house: House) -> None:
    """Neither the same nonce nor another of the same challenge."""
    robot = agent(house)
    started = robot.start()
    body = robot.solved(started)
    assert robot.confirm(body).status_code == 200
    assert robot.confirm(body).json()["error"] == "invalid_proof_of_work"
    key, challenge = robot.key, started["powChallenge"]["challengeHex"]
    for nonce in range(body["nonce"] + 1, 10**6):
        digest = hashlib.sha256(f"{key}:{challenge}:{nonce}".encode()).hexdigest()
        if int(digest, 16) <= target(started["powChallenge"]["difficultyBits"]):
            break
    assert robot.confirm(body | {"nonce": nonce, "hashHex": digest}).status_code == 400
    assert house.sql("SELECT count(*) FROM agent_sessions") == [(1,)]


def test_flaw_8_who_promised_a_verifier_redeems_alone(house: House) -> None:
    """RFC 7636: a quoteId that somebody else has seen is not enough. For payments and for work."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    robot = agent(house)
    started = robot.start(forceLightning=True, codeChallenge=challenge, codeChallengeMethod="S256")
    robot.pay(started["invoice"]["bolt11"])
    thief = Agent(house, robot.key)
    assert thief.confirm({"quoteId": started["quoteId"]}).status_code == 409
    assert thief.confirm({"quoteId": started["quoteId"], "codeVerifier": "x" * 50}).status_code == 409
    assert robot.confirm({"quoteId": started["quoteId"], "codeVerifier": verifier}).status_code == 200
    started = robot.start(codeChallenge=challenge)
    body = robot.solved(started)
    assert thief.confirm(body).status_code == 400
    assert robot.confirm(body | {"codeVerifier": verifier}).status_code == 200


def test_flaw_8_other_projects_know_nothing_of_a_quote(house: House) -> None:
    one, other = agent(house), agent(house)
    started, work = one.start(forceLightning=True), one.start()
    for path in ("status", "lnurl"):
        assert other.get(f"/api/mcp/{path}/{started['quoteId']}").status_code == 404
    assert other.get(f"/api/mcp/status/{work['quoteId']}").status_code == 404
    assert other.confirm({"quoteId": started["quoteId"]}).status_code == 404
    assert other.confirm(one.solved(work)).json()["error"] == "invalid_proof_of_work"


def test_quotes_cannot_be_guessed(house: House) -> None:
    """One digit off is nobody's, at every call that takes one."""
    robot = agent(house)
    for started in (robot.start(), robot.start(forceLightning=True)):
        name = started["quoteId"]
        near = [name[:n] + ("0" if name[n] != "0" else "1") + name[n + 1 :] for n in (0, 12, 30, 35)]
        for guess in (*near, str(uuid.uuid4()), name.upper().replace("-", "_")):
            for path in ("status", "lnurl"):
                assert robot.get(f"/api/mcp/{path}/{guess}").status_code in (400, 404), guess
            assert robot.confirm({"quoteId": guess}).status_code in (400, 404), guess
            demo = robot.post("/api/public/demo/confirm", {"sessionId": guess})
            assert demo.status_code in (400, 404), guess
        assert robot.post("/api/public/demo/confirm", {"sessionId": name}).status_code == 404, "another door's"
    assert house.sql("SELECT count(*) FROM agent_sessions") == [(0,)]


def test_another_servers_work_is_not_ours(dsn: str, house: House) -> None:
    """The same database, project and audience; only the secret is another."""
    robot = agent(house)
    solved = robot.solved(robot.start())
    keys = Secrets.of(("a secret of somebody else, which is long enough",)).work
    theirs = new_challenge(wanted(robot.key, "", house.world), 4, keys, house.world.now())
    document = {"quoteId": theirs.quote_id, "powChallenge": theirs.document("x", robot.key)}
    assert robot.confirm(robot.solved(document)).json()["error"] == "invalid_proof_of_work"
    assert robot.confirm(solved).status_code == 200


def test_flaw_10_nonce_0_is_a_nonce(house: House) -> None:
    robot = agent(house, bits_floor=1, bits_ceiling=1)
    for _ in range(40):
        started = robot.start()
        body = robot.solved(started)
        if body["nonce"] == 0:
            break
    assert body["nonce"] == 0
    assert robot.confirm(body).status_code == 200


@pytest.mark.parametrize("path", ["/api/mcp/start", "/api/mcp/confirm"])
def test_flaw_11_without_a_project_nothing_happens(house: House, path: str) -> None:
    missing = http().post(f"{house.url}{path}", json={"quoteId": "0" * 8 + "-0000-0000-0000-" + "0" * 12})
    assert (missing.status_code, missing.json()["error"]) == (401, "missing_api_key")
    for wrong in ("la_pk_" + "0" * 24, "x", "la_pk_" + "0" * 4000):
        unknown = http().post(f"{house.url}/api/mcp/start", json={}, headers={"X-LW-Public": wrong})
        assert (unknown.status_code, unknown.json()["error"]) == (401, "invalid_api_key")


def test_flaw_12_errors_are_json_and_nobody_keeps_an_answer(house: House) -> None:
    robot = agent(house)
    for answer in (robot.post("/api/mcp/start"), robot.confirm({}), robot.charge(1), robot.refresh()):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.status_code == 200 or answer.json().keys() >= {"error", "error_description"}


def test_flaw_13_the_demo_forges_nothing(house: House) -> None:
    robot = Agent(house, "")
    started = robot.post("/api/public/demo/start").json()
    assert started.keys() == {"sessionId", "invoice", "amountSats", "expiresAtUnix", "mode"}
    assert (started["amountSats"], started["mode"]) == (3, "DEMO")
    unpaid = robot.post("/api/public/demo/confirm", {"sessionId": started["sessionId"]}).json()
    assert unpaid == {"verified": False, "token": None}
    robot.pay(started["invoice"])
    house.turn_clock(seconds=2)
    paid = robot.post("/api/public/demo/confirm", {"sessionId": started["sessionId"]}).json()
    assert paid["verified"] is True
    robot.jwt = paid["token"]
    assert robot.usage()["remainingBudgetSats"] == 3
    again = robot.post("/api/public/demo/confirm", {"sessionId": started["sessionId"]}).json()
    assert again == {"verified": False, "token": None}


def changed_challenge(robot: Agent, **changes: Any) -> int:
    started = robot.start()
    return robot.confirm(robot.solved(started, **changes)).status_code


def test_a_challenge_cannot_be_altered_forged_or_kept(house: House) -> None:
    robot = agent(house)
    assert changed_challenge(robot, difficultyBits=1) == 400
    assert changed_challenge(robot, expiresAtUnix=4_000_000_000) == 400
    assert changed_challenge(robot, sig="00" * 32) == 400
    assert changed_challenge(robot, challengeHex="00" * 16) == 400
    assert changed_challenge(robot, hashHex="00" * 32) == 400
    assert changed_challenge(robot, quoteId=robot.start()["quoteId"]) == 400
    late = robot.solved(robot.start())
    house.turn_clock(seconds=301)
    assert "expired" in robot.confirm(late).json()["error_description"]
    assert house.sql("SELECT count(*) FROM agent_sessions") == [(0,)]
    signature = robot.solved(robot.start())
    signature["signature"] = signature.pop("sig")
    assert robot.confirm(signature).status_code == 200, "the MCP tool's name for it"


def test_unsolved_is_refused(house: House) -> None:
    robot = agent(house, bits_floor=20, bits_ceiling=20)
    started = robot.start()
    challenge = started["powChallenge"]
    digest = hashlib.sha256(f"{robot.key}:{challenge['challengeHex']}:1".encode()).hexdigest()
    body = {name: challenge[name] for name in ("challengeHex", "expiresAtUnix", "difficultyBits", "signature")}
    answer = robot.confirm({"quoteId": started["quoteId"], "nonce": 1, "hashHex": digest, **body})
    assert "above the target" in answer.json()["error_description"]


@pytest.mark.parametrize("sats", [-1, 1.5, "3", True, None, 2**63, 10**400, [], {}])
def test_amounts_are_whole_and_possible(house: House, sats: Any) -> None:
    robot = agent(house)
    robot.work()
    body = json.dumps({"callCostSats": sats})
    answer = robot.http.post(
        f"{house.url}/api/mcp/charge", content=body, headers={**robot.bearer, "Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert robot.usage()["callsUsed"] == 0


@pytest.mark.parametrize(
    "body",
    ["", "[]", "null", '{"quoteId": 3}', '{"quoteId": "\\u0000"}', '{"quoteId": "' + "x" * 9000 + '"}', "{", "\xff"],
)
def test_bodies_that_are_no_bodies(house: House, body: str) -> None:
    robot = agent(house)
    for path in ("confirm", "refresh", "charge", "start"):
        sent = {"X-LW-Public": robot.key, "Content-Type": "application/json", "Authorization": "Bearer x"}
        answer = robot.http.post(f"{house.url}/api/mcp/{path}", content=body.encode("latin-1"), headers=sent)
        assert answer.status_code in (200, 400, 401), (path, answer.text)
        assert answer.status_code == 200 or "error" in answer.json()


def test_work_grows_with_the_rate_and_not_beyond_the_ceiling(house: House) -> None:
    """By what this server gives out, never by what clients say."""
    robot = agent(house, bits_floor=4, bits_ceiling=6)
    bits = [robot.start()["powChallenge"]["difficultyBits"] for _ in range(60)]
    assert bits[0] == 4
    assert bits[-1] == 6
    assert bits == sorted(bits)
    house.turn_clock(minutes=5)
    assert robot.start()["powChallenge"]["difficultyBits"] == 4


def test_a_flood_over_many_workers_is_as_hard_as_over_one(house: House) -> None:
    """Four processes give out 50 a minute each, of a project for which 60 are too many; none wrote a row for any challenge."""
    workers, now = [Pressure(house.world.pool) for _ in range(4)], house.world.now().replace(second=30)

    async def run() -> list[int]:
        alone = Pressure(house.world.pool)
        assert [alone.bits("other", f"{n}", 10, 20, now) for n in range(50)][-1] == 10
        for second in range(25):
            for number, worker in enumerate(workers):
                for visitor in range(2):
                    worker.bits("project", f"10.0.{number}.{visitor}", 10, 20, now + timedelta(seconds=second))
        for moment in (25, 28):  # each has told the others, and then heard of all
            for worker in workers:
                for _ in range(3):
                    worker.bits("project", "10.0.9.9", 10, 20, now + timedelta(seconds=moment))
            for worker in workers:
                assert worker.sharing is not None
                await worker.sharing
        return [worker.bits("project", "10.0.8.8", 10, 20, now + timedelta(seconds=29)) for worker in workers]

    assert house.wait_for(run()) == [12, 12, 12, 12]
    [(rows,)] = house.sql("SELECT count(*) FROM rate_counters WHERE key LIKE 'work %'")
    assert int(str(rows)) <= 2 * 10, "a row a minute for the project and for each address, and not for each challenge"


def test_a_revoked_project_ends_its_agents(house: House) -> None:
    key = house.operator("project", "add", "Robots", "--bits", "6", "--quiet").strip()
    robot = Agent(house, key)
    robot.work()
    assert "Robots" in house.operator("project", "list")
    assert "already" in house.operator("project", "add", "Robots", code=1)
    assert "read write" in house.operator("project", "add", "More", "--scope", "admin", code=2)
    house.operator("project", "revoke", "Robots")
    house.catch_up()
    assert robot.http.get(f"{house.url}/api/mcp/usage", headers=robot.bearer).status_code == 401
    assert robot.refresh().status_code == 400
    assert robot.post("/api/mcp/start").json()["error"] == "api_key_revoked"


def test_one_projects_work_is_no_others(house: House) -> None:
    robot = agent(house)
    other = Agent(house, project(house, "Others"))
    assert other.confirm(robot.solved(robot.start())).status_code == 400


def test_without_a_node_there_is_no_invoice(mailing: House) -> None:
    robot = agent(mailing)
    answer = robot.post("/api/mcp/start", {"forceLightning": True})
    assert (answer.status_code, answer.json()["error"]) == (501, "lightning_unavailable")
    assert robot.work()["jwt"]
    assert robot.post("/api/public/demo/start").status_code == 501
    assert robot.post("/api/public/demo/pay", {"invoice": "x"}).status_code == 404


def test_the_page_says_how_long_the_work_takes(house: House) -> None:
    """/work: for the bits of this project, not of some project."""
    for bits, words in ((18, "a second or so"), (21, "some seconds"), (24, "up to a minute")):
        key = project(house, f"Bits {bits}", bits_floor=bits, bits_ceiling=24)
        page = http().get(f"{house.url}/work?key={key}").text
        assert f"({bits} bits): {words} on a computer" in page
        assert ("up to 24 bits" in page) is (bits < 24)
