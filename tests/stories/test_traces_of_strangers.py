"""What strangers make up is told in the traces, and takes nothing away: no page, no command, nothing of the operator's shell."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.actors import App, Browser, http
from tests.admins import AdminBrowser
from tests.conftest import House
from tests.signers import Signer
from tests.stories.test_traces_of_newer_ways import proven

PAGES = ("/admin", "/admin/attempts", "/admin/api/overview", "/admin/api/attempts")


@pytest.fixture
def ada(house: House) -> AdminBrowser:
    house.add_user(admin=True)
    house.wait_for(house.world.traces.flush())
    house.sql("TRUNCATE trace_steps")
    return AdminBrowser(house)


def told(house: House, ada: AdminBrowser) -> list[dict[str, Any]]:
    """What `gatehouse trace` says, when the pages of the admin can be opened as well."""
    house.wait_for(house.world.traces.flush())
    assert [(page, ada.open(page).status) for page in PAGES] == [(page, 200) for page in PAGES]
    house.operator("trace")
    rows: list[dict[str, Any]] = json.loads(house.operator("trace", "--json"))
    return rows


@pytest.mark.parametrize("client_id", ["https://[1::2::3]/x", "https://[::1/x", "https://]/x", "https://a:99999/x"])
def test_a_client_id_that_is_no_url(house: House, ada: AdminBrowser, client_id: str) -> None:
    assert http().get(App(house.url, client_id=client_id).authorize_url()).status_code == 400
    assert any(f"The client's id is {client_id}, which " in row["verdict"] for row in told(house, ada))


def test_an_address_of_keys_that_is_cut_within_its_host(house: House, ada: AdminBrowser) -> None:
    """What is kept of it is no URL any more. Such addresses are refused now; some are registered."""
    signer, app = Signer(), App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [signer.jwk]})
    uri = "https://" + "u" * 187 + "@[::1]:1/j"
    house.sql(
        "UPDATE clients SET metadata = metadata - 'jwks' || jsonb_build_object('jwks_uri', CAST(:uri AS text))", uri=uri
    )
    assert proven(app, signer.assertion(app.client_id, house.url, house.clock())).status_code == 503
    assert "its public keys at https://" in told(house, ada)[-1]["verdict"]


def test_a_step_that_no_judge_understands_takes_no_other_away(house: House, ada: AdminBrowser) -> None:
    app = App(house.url)
    app.register()
    house.wait_for(house.world.traces.flush())
    house.sql("""
        INSERT INTO trace_steps (at, request_id, what, method, path, status, address, user_agent, links, facts)
        VALUES (now(), 'feedfeedfeedfeed', 'discovery', 'GET', 'nowhere', 200, '192.0.2.1', '', '{}', '{}')
    """)
    rows = {row["id"]: row for row in told(house, ada)}
    assert rows["feedfeedfeedfeed"]["state"] == "failed"
    assert "cannot be told" in rows["feedfeedfeedfeed"]["verdict"]
    assert any(row.get("client_id") == app.client_id for row in rows.values())


def test_a_command_to_try_is_one_command(house: House, ada: AdminBrowser, browser: Browser) -> None:
    """The operator pastes it: what a stranger wrote stays one word of it."""
    client_id = "https://127.0.0.1:1/a;touch$IFS/tmp/x;$(id)&'`"[:-1]
    browser.open(App(house.url, client_id=client_id).authorize_url())
    advice = next(row["next_step"] for row in told(house, ada) if "curl" in row.get("next_step", ""))
    assert shlex.split(advice.partition("Try on this machine: ")[2]) == ["curl", "-sI", client_id]
