"""Schemathesis asks every operation of /openapi.json what its description allows, and what it does not: a word, never a 500."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.actors import App, Browser, http
from tests.admins import admin_key
from tests.conftest import House
from tests.staged.conftest import Database

schemathesis = pytest.importorskip("schemathesis")
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


@pytest.fixture(scope="module")
def filled(shared: Database) -> Iterator[House]:
    """A house of its own, since what is asked here deletes and blocks and rotates."""
    house = House(shared.dsn).start()
    house.add_user(admin=True)
    house.add_user("grace@example.com")
    app, grace = App(house.url), Browser(house.url)
    app.register()
    grace.sign_in(email="grace@example.com")
    app.connect(grace)
    grace.http.post(f"{house.url}/api-keys", json={"name": "laptop"})
    yield house
    house.stop()


def names(house: House) -> dict[str, str]:
    """What there is of Grace, who may be disabled, renamed and deleted here."""
    asked = {
        "user_id": "SELECT id FROM users WHERE email = 'grace@example.com'",
        "path": "SELECT client_id FROM clients",
        "connection_id": "SELECT id FROM connections",
        "key_id": "SELECT id FROM api_keys WHERE name = 'laptop'",
    }
    return {name: str(house.sql(query)[0][0]) for name, query in asked.items()}


def operations(house: House, key: str) -> list[Any]:
    document = http().get(f"{house.url}/openapi.json", headers={"Authorization": f"Bearer {key}"}).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.generation.update(modes=MODES)
    return [result.ok() for result in schema.get_all_operations()]


def asked(client: httpx2.Client, house: House, key: str, case: Any) -> httpx2.Response:
    kwargs = case.as_transport_kwargs(base_url=house.url, headers={"Authorization": f"Bearer {key}"})
    sent = {name: kwargs.get(name) for name in ("params", "json", "data", "headers") if kwargs.get(name) is not None}
    if isinstance(sent.get("data"), bytes):
        sent["content"] = sent.pop("data")
    headers = {name: str(value).encode("utf-8", "replace") for name, value in sent.pop("headers").items()}
    return client.request(kwargs["method"], kwargs["url"], headers=headers, **sent)


def test_every_operation_answers_whatever_it_is_asked(filled: House) -> None:
    key, client, there_is = admin_key(filled), http(), names(filled)
    app = App(filled.url)
    app.register()
    own = app.connect(Browser(filled.url), scope="api_keys")["access_token"]
    found = operations(filled, key)
    assert len(found) > 25
    statuses: dict[str, set[int]] = {}
    for operation in found:

        @settings(
            max_examples=EXAMPLES,
            derandomize="FUZZ_EXAMPLES" not in os.environ,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(generation_mode=MODES[0]) | operation.as_strategy(generation_mode=MODES[1]),
            real=st.booleans(),
        )
        def ask(case: Any, real: bool) -> None:
            if real and case.path_parameters:
                case.path_parameters = {name: there_is.get(name, "x") for name in case.path_parameters}
            bearer = key if case.path.startswith("/admin") else own
            try:
                answer = asked(client, filled, bearer, case)
            except (httpx2.InvalidURL, httpx2.LocalProtocolError, UnicodeError, ValueError):
                return  # not even our own client would send that
            assert answer.status_code < 500, f"{case.method} {case.formatted_path}: {answer.text}"
            statuses.setdefault(case.path, set()).add(answer.status_code)
            if answer.status_code >= 400 and answer.content:
                assert json.loads(answer.content)["error"]

        ask()
    assert set().union(*statuses.values()) & {200, 201}
    assert set().union(*statuses.values()) & {400, 404}
