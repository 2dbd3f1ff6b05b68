"""GATEHOUSE_REGISTER_WORK: a registration that costs a moment of work, and each solution opens once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.work.solve import solve
from tests.actors import http
from tests.agents import agent
from tests.conftest import House, emptied

CLIENT = {"redirect_uris": ["http://127.0.0.1:3030/callback"], "token_endpoint_auth_method": "none"}


@pytest.fixture
def gated(dsn: str) -> Iterator[House]:
    house = House(dsn, register_work=8).start()
    yield emptied(house)
    house.stop()


def solved(challenge: dict[str, Any]) -> dict[str, Any]:
    found = solve(challenge["projectPublicKey"], challenge["challengeHex"], challenge["targetHex"])
    assert found is not None
    return {**challenge, "nonce": found[0], "hashHex": found[1]}


def test_registering_costs_work(gated: House) -> None:
    url = f"{gated.url}/register"
    asked = http().post(url, json=CLIENT)
    assert (asked.status_code, asked.json()["error"]) == (403, "proof_of_work_required")
    work = solved(asked.json()["powChallenge"])
    made = http().post(url, json={**CLIENT, "proof_of_work": work})
    assert made.status_code == 201, made.text
    assert "proof_of_work" not in made.json()
    again = http().post(url, json={**CLIENT, "client_name": "Another", "proof_of_work": work})
    assert (again.status_code, again.json()["error_description"]) == (403, "this work was used before")
    assert http().post(url, json={**CLIENT, "proof_of_work": solved(again.json()["powChallenge"])}).status_code == 201


@pytest.mark.parametrize("proof", [1, "x", {}, {"quoteId": "x"}, [], {"quoteId": "0" * 36, "challengeHex": "0" * 32}])
def test_what_is_no_work(gated: House, proof: Any) -> None:
    answer = http().post(f"{gated.url}/register", json={**CLIENT, "proof_of_work": proof})
    assert answer.status_code in (400, 403)
    assert gated.sql("SELECT count(*) FROM clients") == [(0,)]


def test_work_for_a_session_does_not_open_it_nor_the_other_way_round(gated: House) -> None:
    robot = agent(gated)
    started = robot.start()
    answer = http().post(f"{gated.url}/register", json={**CLIENT, "proof_of_work": robot.solved(started)})
    assert answer.status_code == 403
    work = solved(answer.json()["powChallenge"])
    assert robot.confirm(work).status_code == 400


def test_without_the_setting_nobody_is_asked(house: House) -> None:
    assert http().post(f"{house.url}/register", json=CLIENT).status_code == 201
